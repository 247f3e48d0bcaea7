"""The commands that send requests to a provider and print the payment: from `create` to `close`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli import auth_code, durations, endings
from paycore.cli.advice import (
    create_again,
    nothing_to_ask,
    nothing_to_wait_for,
    paid_before_closing,
    perhaps_gone_on,
    why_not_captured,
)
from paycore.cli.app import PaymentId, Reference, options_of, pairs
from paycore.cli.endings import UsageProblem, on_ctrl_c_name
from paycore.cli.lookup import Named, find_created, open_client
from paycore.cli.options import to_type
from paycore.cli.output import Output
from paycore.cli.performing import perform, print_payment
from paycore.domain.money import Money
from paycore.domain.provider import Secret
from paycore.errors import WrongState

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client

WAIT = "5m"


NewReference = Annotated[
    str, typer.Option(metavar="R", help="Your key: the same reference, the same payment.")
]
Amount = Annotated[str, typer.Option(metavar="88.00", help="The amount, in major units.")]
Currency = Annotated[str, typer.Option(metavar="HKD", help="Its ISO 4217 code.")]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="alipay", help="What the payer pays with.", show_default="the account's default_method"
    ),
]
Channel = Annotated[str, typer.Option(metavar="web", help="One of web, wap, jsapi, qr, barcode, app.")]
Subject = Annotated[str | None, typer.Option(metavar="TEXT", help="What is bought.")]
PayerId = Annotated[str | None, typer.Option(metavar="ID", help="The payer's id at the wallet.")]
DeviceId = Annotated[str | None, typer.Option(metavar="ID", help="The till or terminal.")]
ReturnUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the payer's browser goes afterwards.")
]
NotifyUrl = Annotated[str | None, typer.Option(metavar="URL", help="Where the provider sends notifications.")]
ExpiresIn = Annotated[
    str | None,
    typer.Option(metavar=durations.METAVAR, help="How long the payer has to pay: 300, 5m, 1h30m."),
]
AuthCode = Annotated[
    Secret | None,
    typer.Option(
        metavar="CODE",
        parser=auth_code.read,
        envvar=auth_code.VARIABLE,
        help="The code scanned from the payer. Others can read it in the process list: - takes it from stdin.",
    ),
]
Extra = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="A field of the provider's own; may be repeated."),
]
WhenCaptured = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="One of automatic, manual: once the payer agreed, or by `paycore capture`.",
        show_default="automatic",
    ),
]
CaptureAmount = Annotated[
    str | None,
    typer.Option(
        metavar="20.00", help="The amount; without it, all that is authorized. The rest is released."
    ),
]
Params = Annotated[
    list[str],
    typer.Option("--param", metavar="KEY=VALUE", help="What the payer came back with; may be repeated."),
]
RefundReference = Annotated[
    str, typer.Option(metavar="R2", help="The refund's own reference: the same one, the same refund.")
]
PaymentReference = Annotated[
    str | None, typer.Option(metavar="R", help="Find the payment by its reference alone.")
]
RefundAmount = Annotated[
    str | None, typer.Option(metavar="20.00", help="The amount; without it, all that is left of the payment.")
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="The reason, for providers that take one.")]


def create(
    context: typer.Context,
    *,
    reference: NewReference,
    amount: Amount,
    currency: Currency,
    method: Method = None,
    channel: Channel,
    subject: Subject = None,
    return_url: ReturnUrl = None,
    notify_url: NotifyUrl = None,
    expires_in: ExpiresIn = None,
    payer_id: PayerId = None,
    auth_code: AuthCode = None,
    device_id: DeviceId = None,
    extra: Extra = None,
    capture: WhenCaptured = None,
) -> int:
    """
    Create a payment, or return the one with this reference.

    Safe to run again: the same reference is the same payment.
    """
    fields = pairs("--extra", extra or ())
    expires_in_s = None if expires_in is None else durations.whole_seconds("--expires-in", expires_in)
    money = Money(amount, currency)
    options = options_of(context)
    return perform(
        options,
        lambda pay: pay.create(
            reference=reference,
            amount=money,
            method=method,
            channel=channel,
            account=options.account,
            subject=subject,
            return_url=return_url,
            notify_url=notify_url,
            expires_in_s=expires_in_s,
            payer_id=payer_id,
            auth_code=auth_code,
            device_id=device_id,
            extra=fields,
            capture=capture,  # type: ignore[arg-type]  # the client checks it
        ),
        endings.after_asking,
        find_id=lambda: find_created(options, reference).id,
        interrupted=lambda payment_id: create_again(payment_id, options),
        with_qr=True,
    )


def await_payment(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    timeout: Annotated[
        str, typer.Option(metavar=durations.METAVAR, help="How long to wait at most: 90, 5m, 1h30m.")
    ] = WAIT,
) -> int:
    """
    Wait for a payment, and exit by its status.

    Waiting ends when it is paid, failed, closed or needs review, or at the timeout. It is safe to interrupt.
    """
    from paycore.cli.progress import wait

    timeout_s = durations.seconds("--timeout", timeout)
    options = options_of(context)
    named = Named(options, payment_id, reference)
    output = Output(options)

    def interrupted(payment_id: str) -> str:
        return f"the payment goes on without you, come back with: {to_type(options, 'await', payment_id)}"

    with (
        on_ctrl_c_name(named.id, interrupted),
        open_client(options, output) as pay,
    ):
        payment = wait(pay, named.find(pay), timeout_s, output)
        print_payment(payment, output)
        output.say(nothing_to_wait_for(payment, options))
    return endings.after_waiting(payment)


def query(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Ask the provider now, and resolve what is unknown."""
    options = options_of(context)
    named = Named(options, payment_id, reference)
    return perform(
        options,
        lambda pay: pay.query(named.find(pay).id),
        endings.after_asking,
        find_id=named.id,
        interrupted=lambda found: (
            f"what was not answered stays open, ask again with: {to_type(options, 'query', found)}"
        ),
        explain=nothing_to_ask,
    )


def capture(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    amount: CaptureAmount = None,
) -> int:
    """
    Take the money of an authorized payment, once.

    For payments made with --capture manual; the others are captured by themselves.
    """
    options = options_of(context)
    named = Named(options, payment_id, reference)

    def work(pay: Client) -> Payment:
        payment = named.find(pay)
        money = None if amount is None else Money(amount, payment.amount.currency)
        try:
            return pay.capture(payment.id, amount=money)
        except WrongState as error:
            raise perhaps_gone_on(error, payment, options, "the payer has agreed") from None

    return perform(
        options,
        work,
        endings.after_capture,
        find_id=named.id,
        interrupted=lambda found: (
            f"the capture of payment {found} may be under way:"
            " run the same command again, a payment is captured once"
        ),
        explain=why_not_captured,
    )


def returned(
    context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None, params: Params
) -> int:
    """
    Keep what the payer came back with, and ask the provider now.

    For providers that need what the payer's browser brings to the return URL. It proves nothing: only the
    provider's answer counts.
    """
    fields = pairs("--param", params)
    options = options_of(context)
    named = Named(options, payment_id, reference)
    return perform(
        options,
        lambda pay: pay.returned(named.find(pay).id, fields),
        endings.after_asking,
        find_id=named.id,
        interrupted=lambda found: (
            f"what was not answered stays open, ask again with: {to_type(options, 'query', found)}"
        ),
    )


def refund(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: RefundReference,
    payment_reference: PaymentReference = None,
    amount: RefundAmount = None,
    reason: Reason = None,
) -> int:
    """
    Refund a payment, once per refund reference.

    Exits by the status of that refund.
    """
    if (payment_id is None) == (payment_reference is None):
        raise UsageProblem(
            "name the payment by its ID or by --payment-reference; --reference is the refund's own"
        )
    options = options_of(context)
    named = Named(options, payment_id, payment_reference)

    def work(pay: Client) -> Payment:
        payment = named.find(pay)
        money = None if amount is None else Money(amount, payment.amount.currency)
        try:
            return pay.refund(payment.id, reference=reference, amount=money, reason=reason)
        except WrongState as error:
            raise perhaps_gone_on(error, payment, options, "it has been paid") from None

    return perform(
        options,
        work,
        lambda payment: endings.after_refund(payment, reference),
        find_id=named.id,
        interrupted=lambda found: (
            f"the refund {reference!r} of payment {found} may be under way:"
            " run the same command again, the same reference is the same refund"
        ),
    )


def close(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """
    Cancel an unpaid payment.

    It is closed once the provider confirms it.
    """
    options = options_of(context)
    named = Named(options, payment_id, reference)
    return perform(
        options,
        lambda pay: pay.close(named.find(pay).id),
        endings.after_closing,
        find_id=named.id,
        interrupted=lambda found: (
            f"the closing of payment {found} may be under way, go on with: {to_type(options, 'close', found)}"
        ),
        explain=paid_before_closing,
    )
