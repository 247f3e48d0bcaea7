"""Calls of the control endpoints of a running sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from paycore.cli.endings import UsageProblem

URL = "http://127.0.0.1:8700"
TIMEOUT_S = 10.0
UNKNOWN_ORDER = 404

_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,128}")


def post(url: str, path: str, document: Mapping[str, object] | None = None) -> Any:
    """Call a control endpoint of a running gateway and return its decoded answer."""
    import msgspec

    from paycore.domain.wire import Request
    from paycore.engine.timing import Deadline
    from paycore.engine.transport import Sender
    from paycore.errors import ConfigError, MaybeSent, NotSent

    sender = Sender(url.rstrip("/"))
    headers = {"content-type": "application/json"}
    request = Request(method="POST", path=path, headers=headers, body=msgspec.json.encode(document or {}))
    try:
        response = sender.send(request, Deadline(TIMEOUT_S))
        answer = msgspec.json.decode(response.body)
    except NotSent:
        raise NotSent(f"no sandbox answers at {url}; `paycore sandbox serve` starts one") from None
    except MaybeSent as error:
        raise MaybeSent(f"the sandbox at {url} gave no answer: {error.message}") from None
    except msgspec.DecodeError:
        raise ConfigError(f"what answers at {url} is no paycore sandbox") from None
    finally:
        sender.close()
    if response.status >= 400:
        raise UsageProblem(_refusal(response.status, answer, url))
    return answer


def _refusal(status: int, answer: Any, url: str) -> str:
    if not isinstance(answer, dict) or "error" not in answer:
        return f"the sandbox at {url} refused"
    words = ": ".join(str(answer[key]) for key in ("error", "hint") if answer.get(key))
    if status == UNKNOWN_ORDER:
        words += "; a payment of the ledger is named by its id or your reference"
    return words


def order_path(number: str, verb: str) -> str:
    """Return the path of a control endpoint of an order: `pay` or `decline`."""
    if not _NUMBER.fullmatch(number):
        raise UsageProblem(
            f"NUMBER: {number!r} is neither an order's number nor a payment's id; see --reference"
        )
    return f"/_sandbox/orders/{number}/{verb}"
