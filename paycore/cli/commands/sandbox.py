"""`sandbox pay`, `decline` and `fault` call a running sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycore.cli.app import Reference, options_of, pairs
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.lookup import find_recorded, has_config
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.render.text import align, clean
from paycore.cli.sandboxes.control_calls import URL, order_path, post

if TYPE_CHECKING:
    from paycore.domain.payment import Payment

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help=f"The running gateway; else that of the payment's account or --account, or {URL}."
    ),
]
Number = Annotated[
    str | None,
    typer.Argument(
        metavar="NUMBER",
        help="A number the provider knows the order by, or a payment's id or reference.",
        show_default=False,
    ),
]


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
        raise UsageProblem("name the order by its NUMBER or by --reference: one of the two")
    payment = find_recorded(options, None, reference) if number is None else _payment(options, number)
    if payment is not None:
        return payment.order_number, url or _gateway_of(options, payment)
    return str(number), url or _named_gateway(options)


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
    return _base_url(options, payment.account) or URL


def _named_gateway(options: GlobalOptions) -> str:
    """Return the base URL of the sandbox that --account names, else the default."""
    if options.account is None:
        return URL
    url = _base_url(options, options.account)
    if url is None:
        raise UsageProblem(f"--account: {options.account!r} is no account of a sandbox; give its --url")
    return url


def _base_url(options: GlobalOptions, account_name: str) -> str | None:
    from paycore.engine.config import load_config

    account = load_config(options.config).account(account_name)
    return account.base_url if account.mode == "sandbox" else None


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
    on: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="Only for requests that ask for this: create, query, capture, refund or close.",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Only for requests and notifications about this order; also a payment's id or reference.",
        ),
    ] = None,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="Only for requests to this path.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of this kind of fault; may be repeated."),
    ] = None,
    url: Url = None,
) -> int:
    """Inject a fault into the next requests."""
    extras = {key: _value(text) for key, text in pairs("--option", option or ()).items()}
    document: dict[str, object] = {**extras, "kind": kind, "times": times}
    options = options_of(context)
    if order is None:
        gateway = url or _named_gateway(options)
    else:
        order, gateway = _order(options, order, None, url)
    limits = {"on": on, "order": order, "path": path}
    document |= {name: value for name, value in limits.items() if value is not None}
    _show(Output(options), post(gateway, "/_sandbox/faults", document))
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
