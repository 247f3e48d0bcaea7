"""The post queue: one POST, without redirects or proxies."""

import http.server
import os
import threading
from collections.abc import Iterator

import pytest

from paycore.sandbox.posts import Post, PostQueue, PostResult


@pytest.fixture
def target() -> Iterator[str]:
    """Answers 204 to /none, a redirect to /moved, a big body to /big, else 200 with what it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers = {"/none": (204, b""), "/moved": (302, b""), "/big": (200, b"x" * 100_000)}
            status, answer = answers.get(self.path, (200, body + self.headers["X-Mark"].encode()))
            self.send_response(status)
            self.send_header("Location", "/else")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def deliver(url: str) -> PostResult:
    posts, done, results = PostQueue(), threading.Event(), list[PostResult]()

    def keep(result: PostResult) -> None:
        results.append(result)
        done.set()

    posts.send(Post(url=url, headers={"X-Mark": "!"}, body=b"hi"), keep)
    assert done.wait(1.5)
    posts.close()
    return results[0]


def test_post_arrives_with_body_and_headers(target: str) -> None:
    """The result has the answer's status and the beginning of its body."""
    assert deliver(target + "/x") == PostResult(status=200, body=b"hi!")
    assert deliver(target + "/none") == PostResult(status=204)
    assert len(deliver(target + "/big").body) == 4096


def test_redirect_is_not_followed(target: str) -> None:
    """A 302 is the answer."""
    assert deliver(target + "/moved").status == 302


def test_proxy_of_the_environment_is_not_asked(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables have no effect."""
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    assert deliver(target + "/x").status == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense", "http://[x/"]
)
def test_failure_is_a_result(url: str) -> None:
    """No server, not http, not a URL: no status, and an error with the reason. The worker continues."""
    result = deliver(url)
    assert result.status is None
    assert result.error
