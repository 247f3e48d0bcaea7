"""What QFPay's trades say of our payments and refunds: from replies, records and notifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from paycore.plugin import (
    Failure,
    Money,
    PartialAmount,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Status,
)
from qfpay_alipay.respcodes import VERDICTS, Asked, Code, Verdict, resolve
from qfpay_alipay.wire import Answer, Malformed, Trade, parse_time, trimmed

PaymentStatus = Literal[Status.PENDING, Status.PAID, Status.CLOSED, Status.FAILED]
SettledRefund = Literal[RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED]

RETURNED_IN_FULL = frozenset({"1", "2", "3"})
"""
`cancel` of a paid record whose money went back whole: 1 reversed, 3 refunded; 2 meant refunded before 2022.
5 is partly refunded, by an amount QFPay does not tell there. Source: SOURCES.md §4.
"""


_PAYMENT_STATUSES: Mapping[Verdict, PaymentStatus] = {
    Verdict.ACCEPTED: Status.PAID,
    Verdict.PENDING: Status.PENDING,
    Verdict.CLOSED: Status.CLOSED,
    Verdict.REJECTED: Status.FAILED,
}
_REFUND_STATUSES: Mapping[Verdict, SettledRefund] = {
    Verdict.ACCEPTED: RefundStatus.SUCCEEDED,
    Verdict.PENDING: RefundStatus.PENDING,
    Verdict.REJECTED: RefundStatus.FAILED,
}


def judge(asked: Asked, answer: Answer, *, is_late_refund: bool = False) -> tuple[Verdict, Code]:
    """What an answer's code comes to, and its row."""
    code = resolve(asked, answer.code, text=answer.text, is_late_refund=is_late_refund)
    return VERDICTS[asked][code.meaning], code


def failure_of(answer: Answer, code: Code) -> Failure:
    """The refusal in QFPay's own code and words, with what to do about it."""
    return Failure(
        code=code.respcd,
        message=answer.text,
        retryable=code.retryable,
        who_acts=code.who_acts,
        advice=code.advice,
    )


def problem_of(answer: Answer, code: Code) -> str:
    """Why an answer settles nothing, in words safe to log."""
    return f"respcd {code.respcd}: {answer.text or 'no text'}. {code.advice}"


def words_of(trade: Trade) -> dict[str, str]:
    """QFPay's own words of a trade, to be kept as evidence; nothing about the payer is among them."""
    words = {
        "respcd": trade.code,
        "resperr": trimmed(trade.resperr),
        "respmsg": trimmed(trade.respmsg),
        "errmsg": trimmed(trade.errmsg),
        "cancel": trimmed(trade.cancel),
        "pay_type": trimmed(trade.pay_type),
    }
    return {name: word for name, word in words.items() if word}


def payment_observation(
    trade: Trade,
    status: PaymentStatus,
    *,
    number: str,
    failure: Failure | None = None,
    is_signed_wrong: bool = False,
    asked: Money | None = None,
) -> PaymentObservation:
    """
    A payment as a trade tells it. `Malformed` when it is paid without `syssn`.

    `asked` is what the payment is for, where that is known: what went back when all of it did, untold.
    The time is that of payment for a paid one (`paydtm`), of creation for one that waits (`sysdtm`), and
    none otherwise: nothing tells when an order was closed.
    """
    is_paid = status is Status.PAID
    if is_paid and trade.provider_id is None:
        raise Malformed("paid, but without syssn")
    times = {Status.PAID: trade.paydtm or trade.sysdtm, Status.PENDING: trade.sysdtm}
    amount, told = trade.amounts
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=trade.provider_id,
        amount=amount,
        refunded_minor=_minor_of(amount, told, asked) if is_paid and _is_returned(trade) else None,
        failure=failure,
        occurred_at=parse_time(times.get(status)),
        words=words_of(trade),
        partial_amount=told,
        is_signed_wrong=is_signed_wrong,
    )


def _is_returned(trade: Trade) -> bool:
    return trimmed(trade.cancel) in RETURNED_IN_FULL


def _minor_of(*told: Money | PartialAmount | None) -> int | None:
    """The first amount that is told, in minor units."""
    return next((one.minor for one in told if one is not None and one.minor is not None), None)


def refund_observation(
    trade: Trade,
    status: SettledRefund,
    *,
    number: str,
    failure: Failure | None = None,
    is_signed_wrong: bool = False,
) -> RefundObservation:
    """A refund as a trade tells it."""
    amount, told = trade.amounts
    return RefundObservation(
        number=number,
        status=status,
        provider_id=trade.provider_id,
        amount=amount,
        failure=failure,
        occurred_at=parse_time(trade.paydtm or trade.sysdtm),
        words=words_of(trade),
        partial_amount=told,
        is_signed_wrong=is_signed_wrong,
    )


def read_payment(
    trade: Trade, *, is_signed_wrong: bool = False, asked: Money | None = None
) -> PaymentObservation | None:
    """
    The payment a record or a notification tells of; None when its code says nothing definite.

    `asked` and what is raised: see `payment_observation`.
    """
    verdict, code = judge("payment record", trade)
    status = _PAYMENT_STATUSES.get(verdict)
    if status is None:
        return None
    failure = failure_of(trade, code) if status in (Status.CLOSED, Status.FAILED) else None
    return payment_observation(
        trade, status, number=trade.number, failure=failure, is_signed_wrong=is_signed_wrong, asked=asked
    )


def read_refund(trade: Trade, *, is_signed_wrong: bool = False) -> RefundObservation | None:
    """The refund a record or a notification tells of; None when its code says nothing definite."""
    verdict, code = judge("refund record", trade)
    status = _REFUND_STATUSES.get(verdict)
    if status is None:
        return None
    failure = failure_of(trade, code) if status is RefundStatus.FAILED else None
    return refund_observation(
        trade, status, number=trade.number, failure=failure, is_signed_wrong=is_signed_wrong
    )
