"""`review`: payments that a person must look at, and what that person found; nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli import quick
from paycore.cli.app import PaymentId, Reference, options_of
from paycore.cli.commands.show import Csv, Sorted
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.lookup import Named, open_client
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.words import LIMIT_MAX
from paycore.domain.payment import ReviewReason

if TYPE_CHECKING:
    from paycore.domain.findings import Found
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client

Note = Annotated[str, typer.Option(metavar="TEXT", help="What was found, and how; it is recorded.")]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who found it; the user of this shell unless given.")
]
Why = Annotated[str, typer.Option(metavar="REASON", help=f"One of {', '.join(ReviewReason)}.")]
RefundReference = Annotated[
    str | None, typer.Option("--refund", metavar="R2", help="The reference of the refund it is about.")
]
ProviderId = Annotated[str | None, typer.Option(metavar="ID", help="The provider's id of what was paid.")]


def list_reviews(
    context: typer.Context,
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help=f"Only for one of {', '.join(ReviewReason)}.")
    ] = None,
    sort: Sorted = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after this payment, the last one of a list.")
    ] = None,
    limit: Annotated[
        str, typer.Option(metavar="N", help=f"Maximum number of payments, 1 to {LIMIT_MAX}; 0 for all.")
    ] = str(quick.LIMIT),
    csv: Csv = False,
) -> int:
    """List payments that need review with their reasons, newest first."""
    return quick.list_payments(
        options_of(context),
        review=True,
        reason=None if reason is None else _reason(reason),
        sort=sort,
        after=after,
        limit=limit,
        csv=csv,
        with_reasons=True,
    )


def acknowledge(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    reason: Why,
    note: Note,
    by: By = None,
) -> int:
    """
    Record that a person has looked at one reason for review.

    Only a new fact raises it again. Exits 9 while there are other reasons.
    """
    options = options_of(context)
    named = Named(options, payment_id, reference)
    why = _reason(reason)

    def work(pay: Client, output: Output) -> Payment:
        payment = named.find(pay)
        acknowledged = pay.acknowledge(payment.id, why, by=_name(by), note=note)
        if why not in payment.review_reasons:
            output.warn(f"nothing to acknowledge: the payment does not need review for {reason}")
        return acknowledged

    return _recorded(options, work)


def record(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    paid: Annotated[bool, typer.Option("--paid", help="It is paid; needs --provider-id.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Nobody can pay it any more.")] = False,
    absent: Annotated[
        bool, typer.Option("--absent", help="The order, capture or --refund never arrived.")
    ] = False,
    refunded: Annotated[bool, typer.Option("--refunded", help="The money of --refund went back.")] = False,
    refund: RefundReference = None,
    provider_id: ProviderId = None,
    note: Note,
    by: By = None,
) -> int:
    """
    Record what the provider's portal says, where no query can tell.

    It counts like an answer of the provider: a wrong finding loses money, or moves it twice. Exits 9 while the
    payment needs review.
    """
    options = options_of(context)
    named = Named(options, payment_id, reference)
    found = _found(paid=paid, closed=closed, absent=absent, refunded=refunded)

    def work(pay: Client, _output: Output) -> Payment:
        payment = named.find(pay)
        return pay.record(payment.id, found, by=_name(by), note=note, provider_id=provider_id, refund=refund)

    return _recorded(options, work)


def _reason(text: str) -> str:
    """Return a reason's word, also where it is written as it is printed: with spaces."""
    return text.strip().replace(" ", "_").replace("-", "_")


def _found(*, paid: bool, closed: bool, absent: bool, refunded: bool) -> Found:
    flags: dict[Found, bool] = {"paid": paid, "closed": closed, "absent": absent, "refunded": refunded}
    given = [found for found, is_given in flags.items() if is_given]
    if len(given) != 1:
        raise UsageProblem("say what was found by one of --paid, --closed, --absent, --refunded")
    return given[0]


def _name(by: str | None) -> str:
    """Return who it is recorded of: the user of this shell unless given."""
    import getpass

    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise UsageProblem("--by: this machine does not tell who you are; give your name") from None


def _recorded(options: GlobalOptions, work: Callable[[Client, Output], Payment]) -> int:
    output = Output(options)
    with on_ctrl_c("nothing was sent; run the same command again"), open_client(options, output) as pay:
        payment = work(pay, output)
        output.payment(payment)
    return Exit.REVIEW if payment.review else Exit.DONE
