"""A shop's page on a free port of this machine: another origin than the provider's pages."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator

THANKS = b"<!doctype html><title>Shop</title><p>Thank you</p>"


@contextlib.contextmanager
def shop_page(body_of: Callable[[str], bytes] = lambda _path: THANKS) -> Iterator[str]:
    """The URL of a shop that answers every GET with what `body_of` makes of its path and query string."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = body_of(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
