"""What a command says after the payment that it printed: why nothing more was done, and what to type next."""

from __future__ import annotations

from paycore.cli.options import GlobalOptions, to_type
from paycore.domain.payment import OperationState, Payment, Status
from paycore.domain.schedule import is_left_to_caller
from paycore.errors import WrongState

_SEND_IT = "`paycore create` with the same reference sends it"


def create_again(payment_id: str, options: GlobalOptions) -> str:
    """Of an interrupted `create`: what finds out."""
    return (
        f"payment {payment_id} may be under way: run the same command again, or"
        f" `{to_type(options, 'query', payment_id)}` resolves it"
    )


def nothing_to_ask(payment: Payment, _options: GlobalOptions) -> str:
    """Why `query` asked nothing; empty where it did."""
    if payment.creation.state is not OperationState.INTENT:
        return ""
    return (
        f"nothing was asked: this payment has not been sent, so its provider knows nothing of it; {_SEND_IT}"
    )


def nothing_to_wait_for(payment: Payment, options: GlobalOptions) -> str:
    """Why `await` does not wait; empty where it did."""
    if not is_left_to_caller(payment):
        return ""
    if payment.status is Status.AUTHORIZED:
        take, leave = (to_type(options, word, payment.id) for word in ("capture", "close"))
        return f"the payer agreed: `{take}` takes the money, `{leave}` lets it go"
    if payment.creation.state is OperationState.INTENT:
        return f"nothing to wait for: this payment has not been sent; {_SEND_IT}"
    return f"nothing to wait for: the provider refused the account; once that is mended, {_SEND_IT}"


def paid_before_closing(payment: Payment, options: GlobalOptions) -> str:
    """Why `close` closed nothing; empty where it did."""
    if payment.status is not Status.PAID:
        return ""
    refund = to_type(options, "refund", payment.id)
    return f"not closed: it was paid before; `{refund}` with a --reference of its own gives the money back"


def perhaps_gone_on(error: WrongState, payment: Payment, options: GlobalOptions, what: str) -> WrongState:
    """Add to the error that a query may show what the ledger may not know yet."""
    if payment.status not in (Status.PENDING, Status.UNKNOWN):
        return error
    ask = to_type(options, "query", payment.id)
    return WrongState(f"{error.message}; `{ask}` asks whether {what} by now", payment_id=payment.id)


def why_not_captured(payment: Payment, options: GlobalOptions) -> str:
    """Why `capture` took nothing; empty where it did."""
    failure = payment.capture_failure
    if payment.status not in (Status.AUTHORIZED, Status.PENDING) or failure is None:
        return ""
    again = to_type(options, "capture", payment.id)
    if payment.status is Status.PENDING:
        return f"not captured: {failure.message}; once the payer has agreed again, `{again}` takes the money"
    return f"not captured: {failure.message}; {failure.advice or f'once that is mended, `{again}` takes the money'}"
