"""`create`, `await`, `query`, `refund`, `close`: the commands that talk to a provider. Each prints the payment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli import auth_code, endings
from paycore.cli.app import PaymentId, Reference, options_of, pairs
from paycore.cli.endings import Exit, Unwritable, UsageProblem, on_ctrl_c_name
from paycore.cli.lookup import check_identity, find_created, find_recorded, identify, open_client
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.output import Output
from paycore.domain.money import Money
from paycore.domain.payment import OperationState, Status
from paycore.domain.provider import Secret
from paycore.domain.schedule import is_left_to_caller
from paycore.errors import AccountRefused, PaycoreError, PluginError, ProviderError, WrongState

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client

WAIT_S = 300.0


def create(
    context: typer.Context,
    *,
    reference: Annotated[
        str, typer.Option(metavar="R", help="Your key: the same reference, the same payment.")
    ],
    amount: Annotated[str, typer.Option(metavar="88.00", help="What is to be paid, in major units.")],
    currency: Annotated[str, typer.Option(metavar="HKD", help="Its ISO 4217 code.")],
    method: Annotated[str, typer.Option(metavar="alipay", help="What the payer pays with.")],
    channel: Annotated[
        str, typer.Option(metavar="web", help="Where the payer stands: web, wap, jsapi, qr, barcode, app.")
    ],
    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="What is bought.")] = None,
    return_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the payer's browser goes afterwards.")
    ] = None,
    notify_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the provider sends notifications.")
    ] = None,
    expires_in_s: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="How long the payer has.")
    ] = None,
    payer_id: Annotated[str | None, typer.Option(metavar="ID", help="The wallet's id of the payer.")] = None,
    auth_code: Annotated[
        Secret | None,
        typer.Option(
            metavar="CODE",
            parser=auth_code.read,
            envvar=auth_code.VARIABLE,
            help="The code scanned from the payer. Others can read it in the process list: - takes it from stdin.",
        ),
    ] = None,
    device_id: Annotated[str | None, typer.Option(metavar="ID", help="The till or terminal.")] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A field of the provider's own; may be repeated."),
    ] = None,
) -> int:
    """
    Make a payment, or get the one the reference names.

    Run it again whenever in doubt: the same reference is the same payment.
    """
    fields = pairs("--extra", extra or ())
    money = Money(amount, currency)
    options = options_of(context)

    def work(pay: Client) -> Payment:
        return pay.create(
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
        )

    def tell(payment_id: str) -> str:
        ask = to_type(options, "query", payment_id)
        return f"payment {payment_id} may be under way: run the same command again, or `{ask}` resolves it"

    with on_ctrl_c_name(lambda: find_created(options, reference).id, tell):
        return _perform(options, work, endings.after_asking, with_qr=True)


def await_payment(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait at most.")] = WAIT_S,
) -> int:
    """
    Wait for a payment, and exit by what it comes to.

    Waiting ends when it is paid, failed, closed or needs review, or at the timeout. Nothing is lost by ending it.
    """
    from paycore.cli.progress import wait

    if not 0 <= timeout < float("inf"):
        raise UsageProblem("--timeout: must be a number of seconds, 0 or more")
    check_identity(payment_id, reference)
    options = options_of(context)
    output = Output(options)

    def tell(payment_id: str) -> str:
        return f"the payment goes on without you, come back with: {to_type(options, 'await', payment_id)}"

    with (
        on_ctrl_c_name(_id_of(options, payment_id, reference), tell),
        open_client(options, output) as pay,
    ):
        payment = wait(pay, identify(pay, options, payment_id, reference), timeout, output)
        _print(payment, output)
        if words := _nothing_to_wait_for(payment):
            output.say(words)
    return endings.after_waiting(payment)


def query(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Ask the provider now, and resolve what is not known."""
    check_identity(payment_id, reference)
    options = options_of(context)

    def work(pay: Client) -> Payment:
        return pay.query(identify(pay, options, payment_id, reference).id)

    def tell(payment_id: str) -> str:
        return f"what was not answered stays open, ask again with: {to_type(options, 'query', payment_id)}"

    with on_ctrl_c_name(_id_of(options, payment_id, reference), tell):
        return _perform(options, work, endings.after_asking, explain=_nothing_to_ask)


def refund(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Annotated[
        str, typer.Option(metavar="R2", help="The refund's own reference: the same one, the same refund.")
    ],
    payment_reference: Annotated[
        str | None,
        typer.Option(metavar="R", help="Find the payment by your own reference instead of its ID."),
    ] = None,
    amount: Annotated[
        str | None, typer.Option(metavar="20.00", help="What goes back; all that is left without it.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, where the provider takes it.")
    ] = None,
) -> int:
    """
    Give money back, once per refund reference.

    Exits by how that refund went.
    """
    if (payment_id is None) == (payment_reference is None):
        raise UsageProblem(
            "name the payment by its ID or by --payment-reference; --reference is the refund's own"
        )
    options = options_of(context)

    def work(pay: Client) -> Payment:
        payment = identify(pay, options, payment_id, payment_reference)
        money = None if amount is None else Money(amount, payment.amount.currency)
        try:
            return pay.refund(payment.id, reference=reference, amount=money, reason=reason)
        except WrongState as error:
            raise _perhaps_paid(error, payment, options) from None

    def tell(payment_id: str) -> str:
        return (
            f"the refund {reference!r} of payment {payment_id} may be under way:"
            " run the same command again, the same reference is the same refund"
        )

    with on_ctrl_c_name(_id_of(options, payment_id, payment_reference), tell):
        return _perform(options, work, lambda payment: endings.after_refund(payment, reference))


def close(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """
    Cancel an unpaid payment.

    Only the provider's answer closes it.
    """
    check_identity(payment_id, reference)
    options = options_of(context)

    def work(pay: Client) -> Payment:
        return pay.close(identify(pay, options, payment_id, reference).id)

    def tell(payment_id: str) -> str:
        again = to_type(options, "close", payment_id)
        return f"the closing of payment {payment_id} may be under way, go on with: {again}"

    with on_ctrl_c_name(_id_of(options, payment_id, reference), tell):
        return _perform(options, work, endings.after_closing, explain=_payer_was_faster)


def _perform(
    options: GlobalOptions,
    work: Callable[[Client], Payment],
    code_of: Callable[[Payment], Exit],
    *,
    with_qr: bool = False,
    explain: Callable[[Payment, GlobalOptions], str] = lambda *_: "",
) -> int:
    """Do `work`, print the payment it comes to, say what `explain` finds worth saying of it, and exit by it."""
    output = Output(options)
    with open_client(options, output) as pay:
        try:
            payment = work(pay)
        except (ProviderError, AccountRefused, PluginError) as error:
            _print_recorded(pay, error, output)
            raise
        _print(payment, output, with_qr=with_qr)
        if words := explain(payment, options):
            output.say(words)
    return code_of(payment)


_SEND_IT = "`paycore create` with the same reference sends it"


def _nothing_to_ask(payment: Payment, _options: GlobalOptions) -> str:
    if payment.creation.state is not OperationState.INTENT:
        return ""
    return (
        f"nothing was asked: this payment has not been sent, so its provider knows nothing of it; {_SEND_IT}"
    )


def _nothing_to_wait_for(payment: Payment) -> str:
    if not is_left_to_caller(payment):
        return ""
    if payment.creation.state is OperationState.INTENT:
        return f"nothing to wait for: this payment has not been sent; {_SEND_IT}"
    return f"nothing to wait for: the provider refused the account; once that is mended, {_SEND_IT}"


def _payer_was_faster(payment: Payment, options: GlobalOptions) -> str:
    if payment.status is not Status.PAID:
        return ""
    refund = to_type(options, "refund", payment.id)
    return f"not closed: it was paid before; `{refund}` with a --reference of its own gives the money back"


def _perhaps_paid(error: WrongState, payment: Payment, options: GlobalOptions) -> WrongState:
    """The error, with what may mend it: the ledger may not know yet that the payment is paid."""
    if payment.status not in (Status.PENDING, Status.UNKNOWN):
        return error
    ask = to_type(options, "query", payment.id)
    return WrongState(f"{error.message}; `{ask}` asks whether it has been paid by now", payment_id=payment.id)


def _id_of(options: GlobalOptions, payment_id: str | None, reference: str | None) -> Callable[[], str]:
    """What gives the payment's id: it is looked up where only the reference was given."""
    return lambda: payment_id or find_recorded(options, None, reference).id


def _print_recorded(pay: Client, error: PaycoreError, output: Output) -> None:
    """A command that failed on the way has left a payment: print it as it is now recorded."""
    if error.payment_id is None:
        return
    try:
        _print(pay.get(error.payment_id), output)
    except Unwritable as unwritable:
        output.warn(str(unwritable))


def _print(payment: Payment, output: Output, *, with_qr: bool = False) -> None:
    """Print the payment; where that can't be done, the error names it."""
    try:
        output.payment(payment, with_qr=with_qr)
    except Unwritable as error:
        show = to_type(output.options, "show", payment.id)
        raise Unwritable(
            f"{error}; payment {payment.id} is recorded as {payment.status}: `{show}` prints it",
            payment_id=payment.id,
        ) from None
