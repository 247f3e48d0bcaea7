"""Sandboxes from the command line's side: which there are, and talking to one that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.session import hear_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paycore.sandbox.api import Sandbox

URL = "http://127.0.0.1:8700"
TIMEOUT_S = 10.0
UNKNOWN_ORDER = 404

_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,128}")

_OF_THE_EXTRA = frozenset({"starlette", "uvicorn", "jinja2", "h11"})


def blocked_plugins(options: GlobalOptions) -> frozenset[str]:
    """Plugins the configuration blocks; none where there is no configuration and none was asked for."""
    from paycore.engine.config import find_config, load_config
    from paycore.errors import ConfigError

    try:
        find_config(options.config)
    except ConfigError:
        if options.config is not None:
            raise
        return frozenset()
    return load_config(options.config).blocked_plugins


def find_sandbox(options: GlobalOptions, provider: str, output: Output) -> Sandbox:
    """The sandbox of this provider."""
    from paycore.engine.plugins import Plugins
    from paycore.engine.wording import one_of
    from paycore.errors import ConfigError

    hear_log(output)
    plugins = Plugins(blocked=blocked_plugins(options))
    known = plugins.sandboxes()
    if provider in known:
        sandbox: Sandbox = known[provider]
        return sandbox
    left_out = plugins.left_out()
    if not known:
        raise ConfigError(
            f"no plugin offers a sandbox{left_out}; install the provider's plugin beside paycore,"
            " see docs/quickstart.md"
        )
    message = f"no plugin offers a sandbox for {provider!r}; there are: {one_of(known)}{left_out}"
    if plugins.failures:
        raise ConfigError(message)
    raise UsageProblem(message)


def explain_import(error: ImportError) -> NoReturn:
    """Say how to get the extra when it is what is missing; any other failing import is a bug."""
    from paycore.errors import ConfigError

    if (error.name or "").split(".")[0] not in _OF_THE_EXTRA:
        raise error
    raise ConfigError("the sandbox needs more packages: pip install 'paycore[sandbox]'") from None


def post(url: str, path: str, document: Mapping[str, object] | None = None) -> Any:
    """One call of a running gateway's control endpoints; its answer, decoded."""
    import msgspec

    from paycore.domain.wire import Request
    from paycore.engine.transport import Deadline, Sender
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
        words += "; a payment of the ledger is named by its id, or by --reference"
    return words


def order_path(number: str, verb: str) -> str:
    """The control endpoint that lets an order's payer do something."""
    if not _NUMBER.fullmatch(number):
        raise UsageProblem(
            f"NUMBER: {number!r} is neither an order's number nor a payment's id; see --reference"
        )
    return f"/_sandbox/orders/{number}/{verb}"
