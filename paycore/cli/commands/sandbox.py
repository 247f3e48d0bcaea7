"""`sandbox serve` serves a provider's gateway; `pay`, `decline` and `fault` call a running one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from paycore.cli.app import Reference, options_of, pairs
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.lookup import blocked_plugins, find_recorded, has_config
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.render.text import align, clean

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.sandbox.api import Sandbox
    from paycore.sandbox.scenario import Scenario

URL = "http://127.0.0.1:8700"
TIMEOUT_S = 10.0
UNKNOWN_ORDER = 404

_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,128}")

_OF_THE_EXTRA = frozenset({"starlette", "uvicorn", "jinja2", "h11"})

Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help=f"The running gateway; else the payment's account, or {URL}."),
]
Number = Annotated[
    str | None,
    typer.Argument(
        metavar="NUMBER",
        help="A number the provider knows the order by, or a payment's id.",
        show_default=False,
    ),
]


Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose gateway: qfpay-alipay.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")]
State = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keep the orders in this file over restarts.")
]
AutoPay = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FOR=]DURATION",
        help="A simulated payer pays this long after an order, or off; FOR, such as reference:R, amount:8.00 or"
        " channel:qr, names the orders; may be repeated.",
    ),
]
Speed = Annotated[float, typer.Option(metavar="N", help="Seconds of the sandbox's clock per real second.")]
NotifyUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where notifications go that no order names a URL for."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of this sandbox; may be repeated."),
]


def serve(
    context: typer.Context,
    provider: Provider,
    *,
    port: Port = 8700,
    state: State = None,
    auto_pay: AutoPay = None,
    speed: Speed = 1.0,
    notify_url: NotifyUrl = None,
    settings: Settings = None,
) -> int:
    """
    Serve a provider's gateway until Ctrl-C.

    It has the provider's API with real signatures, wallet pages and faults on demand. Prints what a client needs first.
    """
    from paycore.errors import ConfigError

    options = options_of(context)
    output = Output(options)
    sandbox = find_sandbox(options, provider, output)
    given = pairs("--set", settings or ())
    scenario = _auto_pay_rules(auto_pay or ())
    if not 0 < speed < float("inf"):
        raise UsageProblem(f"--speed: must be above 0, not {speed}")
    try:
        from paycore.sandbox.server import serve_forever

        serve_forever(
            sandbox,
            port=port,
            state=state,
            auto_pay_s=None,
            scenario=scenario,
            speed=speed,
            notify_url=notify_url,
            settings=given,
            on_ready=lambda ready: _announce(output, provider, ready),
        )
    except ImportError as error:
        explain_import(error)
    except OSError as error:
        raise ConfigError(
            f"the sandbox can't be served on port {port}: {error.strerror or error}; --port 0 takes a free one"
        ) from None
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    output.say("sandbox stopped")
    return Exit.DONE


def _auto_pay_rules(texts: Sequence[str]) -> Scenario:
    from paycore.sandbox.scenario import read_auto_pay

    try:
        return read_auto_pay(texts)
    except ValueError as error:
        raise UsageProblem(f"--auto-pay: {error}") from None


def _announce(output: Output, provider: str, ready: Mapping[str, str]) -> None:
    if output.options.json:
        output.json(dict(ready))
        return
    output.data(*(f"{name}: {value}" for name, value in ready.items()), "", "# paycore.toml")
    output.data(*snippet("sandbox", provider, ready), "")
    output.say(f"open {ready['url']} to see the orders; Ctrl-C ends the sandbox")


def snippet(name: str, provider: str, ready: Mapping[str, str]) -> list[str]:
    """Return the account for this sandbox in paycore.toml, as lines."""
    settings = {key: value for key, value in ready.items() if key != "url"}
    return [
        f"[accounts.{name}]",
        f"provider = {_toml(provider)}",
        'mode = "sandbox"',
        f"base_url = {_toml(ready['url'])}",
        *(f"{key} = {_toml(value)}" for key, value in settings.items()),
    ]


def _toml(text: str) -> str:
    """Render a basic TOML string; JSON's escapes are valid in TOML."""
    import json

    return json.dumps(text)


def pay(
    context: typer.Context, number: Number = None, *, reference: Reference = None, url: Url = None
) -> int:
    """Pay an order as its payer."""
    return _act(context, number, reference, url, "pay")


def decline(
    context: typer.Context, number: Number = None, *, reference: Reference = None, url: Url = None
) -> int:
    """Decline an order for good as its payer."""
    return _act(context, number, reference, url, "decline")


def _act(
    context: typer.Context, number: str | None, reference: str | None, url: str | None, verb: str
) -> int:
    options = options_of(context)
    order, gateway = _order(options, number, reference, url)
    _show(Output(options), post(gateway, order_path(order, verb)))
    return Exit.DONE


def _order(
    options: GlobalOptions, number: str | None, reference: str | None, url: str | None
) -> tuple[str, str]:
    """Return the order's number and its gateway's URL; `url` takes precedence."""
    if (number is None) == (reference is None):
        raise UsageProblem("name the order by its NUMBER or by --reference, not by both or neither")
    payment = find_recorded(options, None, reference) if number is None else _payment(options, number)
    if payment is not None:
        return payment.order_number, url or _gateway_of(options, payment)
    return str(number), url or URL


def _payment(options: GlobalOptions, payment_id: str) -> Payment | None:
    """Return the payment with this id; None without a configuration, or where the ledger does not have it."""
    from paycore.errors import NotFound

    if not has_config(options):
        return None
    try:
        return find_recorded(options, payment_id, None)
    except NotFound:
        return None


def _gateway_of(options: GlobalOptions, payment: Payment) -> str:
    """Return the base URL of the payment's account if it is a sandbox, else the default."""
    from paycore.engine.config import load_config

    account = load_config(options.config).account(payment.account)
    return (account.base_url if account.mode == "sandbox" else None) or URL


def fault(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="For instance lose_reply, http_500, stall; GET /_sandbox/faults lists all."
        ),
    ],
    *,
    times: Annotated[int, typer.Option(min=1, help="How many requests it affects.")] = 1,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="Only for requests to this path.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of this kind of fault; may be repeated."),
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help=f"The running gateway; else {URL}.")] = None,
) -> int:
    """Inject a fault into the next requests."""
    extras = {key: _value(text) for key, text in pairs("--option", option or ()).items()}
    document: dict[str, object] = {**extras, "kind": kind, "times": times}
    if path is not None:
        document["path"] = path
    _show(Output(options_of(context)), post(url or URL, "/_sandbox/faults", document))
    return Exit.DONE


def _value(text: str) -> object:
    """Parse `true`, `false` and numbers; anything else stays text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text


def _show(output: Output, answer: Any) -> None:
    """Print the gateway's answer as JSON, or its simple fields one a line."""
    if output.options.json or not isinstance(answer, dict):
        output.json(answer)
        return
    facts = {
        key: value for key, value in answer.items() if isinstance(value, str | int | float) and value != ""
    }
    output.data(*align([[key, clean(str(value))] for key, value in facts.items()]))


# --- a running gateway ---------------------------------------------------------------------------------


def find_sandbox(options: GlobalOptions, provider: str, output: Output) -> Sandbox:
    """Return the sandbox of a provider."""
    from paycore.engine.plugins import Plugins
    from paycore.engine.wording import one_of
    from paycore.errors import ConfigError

    output.show_log()
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
    """Say how to install the extra when a package of it is missing; any other failed import is a bug."""
    from paycore.errors import ConfigError

    if (error.name or "").split(".")[0] not in _OF_THE_EXTRA:
        raise error
    raise ConfigError(
        f"the sandbox needs the package {error.name}: pip install 'paycore[sandbox]',"
        " and the provider's plugin with its extra [sandbox]"
    ) from None


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
        words += "; a payment of the ledger is named by its id, or by --reference"
    return words


def order_path(number: str, verb: str) -> str:
    """Return the path of a control endpoint of an order: `pay` or `decline`."""
    if not _NUMBER.fullmatch(number):
        raise UsageProblem(
            f"NUMBER: {number!r} is neither an order's number nor a payment's id; see --reference"
        )
    return f"/_sandbox/orders/{number}/{verb}"
