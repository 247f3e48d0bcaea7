"""
What a reply to a creation, a refund or a close comes to.

Only a reply that is about what was asked, readable and not signed wrong says anything.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from paycore.plugin import (
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    NotNow,
    OrderRef,
    PartialAmount,
    PaymentObservation,
    QueryReply,
    RefundOrder,
    RefundReply,
    RefundStatus,
    Rejected,
    Response,
    Status,
    Unknown,
)
from qfpay_alipay import messages
from qfpay_alipay.api import SIGNED_WRONG, Api
from qfpay_alipay.field_bounds import minutes_of
from qfpay_alipay.observations import REFUND_STATUSES, action_of, payment_observation, refund_observation
from qfpay_alipay.pauses import pause_s, put_off
from qfpay_alipay.pay_types import EXPIRES_IN_DEFAULT_S, PayType
from qfpay_alipay.respcodes import Code, Judgement, failure_of, judge, problem_of

REFUND_WINDOW = timedelta(days=365)
"""How long Alipay payments could be refunded, as a merchant saw it (SOURCES.md §5.1); QFPay publishes none."""

_REFUSALS = (Judgement.NOT_NOW, Judgement.REJECTED, Judgement.DUPLICATE, Judgement.OPEN)
"""What a reply comes to that does not accept a creation or a refund."""

_BY_WEIGHT = (Status.PAID, Status.PENDING, Status.CLOSED, Status.FAILED)
"""Of several records, the first of these statuses says what the order is now."""


def of_creation(api: Api, response: Response, order: CreateOrder, row: PayType) -> CreateReply:
    """The outcome of a creation."""
    try:
        reply, is_signed_wrong = api.read(response, messages.PaymentReply)
        _check_same("out_trade_no", reply.number, order.number)
        return _signed_wrong(order.number, reply) if is_signed_wrong else _created(order, row, reply)
    except messages.NoAnswer as error:
        return error.outcome


def _created(order: CreateOrder, row: PayType, reply: messages.PaymentReply) -> CreateReply:
    judgement, code = judge("create", reply)
    if judgement in _REFUSALS:
        return _refusal(order, reply, judgement, code)
    if judgement is Judgement.CLOSED:
        failure = failure_of(reply, code)
        seen = payment_observation(reply, Status.CLOSED, number=order.number, failure=failure)
        _check_readable(seen.partial_amount)
        return Done(Created(observation=seen))
    is_paid = judgement is Judgement.ACCEPTED and row.reply == "final"
    seen = payment_observation(reply, Status.PAID if is_paid else Status.PENDING, number=order.number)
    _check_readable(seen.partial_amount)
    try:
        action = action_of(reply, row)
    except messages.Malformed as malformed:
        return Unknown(problem=f"accepted, but {malformed}", observation=seen)
    if not row.takes_expiry:  # how long it lasts is not documented
        return Done(Created(observation=seen, action=action))
    minutes = minutes_of(order.expires_in_s)
    lasts_s = EXPIRES_IN_DEFAULT_S if minutes is None else minutes * 60
    expires_at = (seen.occurred_at or order.begun_at) + timedelta(seconds=lasts_s)  # by QFPay's clock if told
    return Done(Created(observation=seen, action=action, expires_at=expires_at, expires_in_s=lasts_s))


def of_refund(api: Api, response: Response, refund: RefundOrder) -> RefundReply:
    """The outcome of a refund."""
    try:
        reply, is_signed_wrong = api.read(response, messages.RefundReply)
        _check_same("out_trade_no", reply.number, refund.number)
        _check_same("orig_syssn", messages.text_of(reply.orig_syssn), refund.order.provider_id)
        if is_signed_wrong:
            kept = refund_observation(reply, RefundStatus.PENDING, number=refund.number, is_signed_wrong=True)
            return Unknown(problem=SIGNED_WRONG, observation=kept)
        return _refunded(refund, reply)
    except messages.NoAnswer as error:
        return error.outcome


def _refunded(refund: RefundOrder, reply: messages.RefundReply) -> RefundReply:
    is_late = refund.begun_at - refund.order.begun_at > REFUND_WINDOW
    judgement, code = judge("refund", reply, is_late_refund=is_late)
    if judgement in _REFUSALS:
        return _refusal(refund, reply, judgement, code)
    seen = refund_observation(reply, REFUND_STATUSES[judgement], number=refund.number)
    _check_readable(seen.partial_amount)
    return Done(seen)


def _refusal(
    asked: CreateOrder | RefundOrder, reply: messages.Trade, judgement: Judgement, code: Code
) -> Rejected | NotNow | Unknown:
    """The outcome of a reply that does not accept the request."""
    if judgement is Judgement.NOT_NOW:
        return put_off(reply, code, begun_at=asked.begun_at, sent_at=asked.attempt.sent_at)
    if judgement is Judgement.OPEN:
        return Unknown(problem=problem_of(reply, code))
    return Rejected(failure=failure_of(reply, code), is_duplicate=judgement is Judgement.DUPLICATE)


# --- close -------------------------------------------------------------------------------------------


def of_close(api: Api, response: Response, order: OrderRef) -> CloseReply | messages.CancelReply:
    """The outcome of a close that took no effect or is not known to have; else the reply, and the order is queried."""
    try:
        reply, is_signed_wrong = api.read(response, messages.CancelReply)
        _check_same("out_trade_no", reply.number, order.number)
        _check_same("orig_syssn", messages.text_of(reply.orig_syssn), order.provider_id)
        if is_signed_wrong:
            return _signed_wrong(order.number, reply)
        _check_readable(reply.amounts[1])
    except messages.NoAnswer as error:
        return error.outcome
    judgement, code = judge("close", reply)
    if judgement is Judgement.NOT_NOW:
        pause = pause_s(code.respcd, order.attempt.sent_at)
        return NotNow(problem=problem_of(reply, code), retry_after_s=pause)
    return Rejected(failure=failure_of(reply, code)) if judgement is Judgement.REJECTED else reply


def of_query_after_close(order: OrderRef, reply: messages.CancelReply, answer: QueryReply) -> CloseReply:
    """
    What the order is by the query after the close that `reply` answered.

    A query that was refused says nothing of the close. If the reply tells another amount than the order's, the
    observation has that amount.
    """
    judgement, code = judge("close", reply)
    problem = f"closing: {problem_of(reply, code)} The query after it"
    if not isinstance(answer, Done):
        why = f"respcd {answer.failure.code}" if isinstance(answer, Rejected) else answer.problem
        return Unknown(problem=f"{problem} was not answered: {why}")
    seen = [one for one in answer.value.observations if isinstance(one, PaymentObservation)]
    now = min(seen, key=lambda one: _BY_WEIGHT.index(one.status), default=None)
    if now is None:
        return Unknown(problem=f"{problem} found nothing")
    amount, partial = reply.amounts
    if amount not in (None, order.amount) or (partial is not None and partial.contradicts(order.amount)):
        now = replace(now, amount=amount, partial_amount=partial)
    is_refused = judgement not in (Judgement.ACCEPTED, Judgement.PENDING)
    if is_refused and now.status is Status.PENDING:
        return Rejected(failure=failure_of(reply, code))
    return Done(now)


# --- what a reply must be ----------------------------------------------------------------------------


def _check_same(field: str, told: str, expected: str | None) -> None:
    """`Malformed` when a reply is for another order; replies may leave the field out, and we may not know it yet."""
    if told and expected and told != expected:
        raise messages.Malformed(f"the reply's {field} is not that of the request")


def _check_readable(partial: PartialAmount | None) -> None:
    """`Malformed` when a reply tells an amount that can't be read."""
    if partial is not None and partial.unreadable is not None:
        raise messages.Malformed(f"the reply tells {partial}")


def _signed_wrong(number: str, reply: messages.Trade) -> Unknown:
    """The outcome of a reply that is signed wrong: it is kept as evidence and proves nothing."""
    kept = payment_observation(reply, Status.PENDING, number=number, is_signed_wrong=True)
    return Unknown(problem=SIGNED_WRONG, observation=kept)
