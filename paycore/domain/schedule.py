"""
When a payment is due, what of it is still open, and who goes on with it: pure functions of its state and its age.

A waiting payment is a row with a due time, not a coroutine. What waits for its payer is due every two seconds for ten
minutes, and less often the older it gets; what else is under way after intervals that grow by half. Neither waits
longer than a minute. What is due is asked about as the account's request budget allows; `domain.asking` says in which
order.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    RefundStatus,
    Status,
    capture_of,
    has_earlier_number,
    may_have_arrived,
    refund_operation,
    standing_closes,
)

INTERVAL_MIN_S = 2.0
INTERVAL_MAX_S = 60.0
AWAITED_PART = 300
"""What waits for its payer is asked about every two seconds for ten minutes, then every 300th part of its age."""

AUTHORIZED_INTERVAL_MAX_S = 3600.0
LATE_CHECKS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""Times after closing at which a closed order is queried: some are paid all the same."""


def awaited_interval_s(age_s: float) -> float:
    """Seconds from one query to the next of a payment that has waited for its payer for `age_s` seconds."""
    return min(INTERVAL_MAX_S, max(INTERVAL_MIN_S, age_s / AWAITED_PART))


def interval_s(age_s: float, longest_s: float | None = None) -> float:
    """
    Seconds until the next look at anything else that last changed `age_s` seconds ago, a minute or `longest_s` at most.

    An interval that starts at 2 s and grows by half each time has, after `age` seconds, the length `2 + age / 2`.
    """
    return min(longest_s or INTERVAL_MAX_S, INTERVAL_MIN_S + max(0.0, age_s) / 2)


def resend_pause_s(failures: int) -> float:
    """Least seconds between a send and the next one after this many failed resends: 0, 2, 3, 4.5 ... 60."""
    return 0.0 if failures < 1 else min(INTERVAL_MAX_S, INTERVAL_MIN_S * 1.5 ** min(failures - 1, 10))


def due_at(payment: Payment, now: datetime) -> datetime | None:
    """
    When `payment` is due next, None for never.

    - A request is in flight: when its answer can't arrive any more.
    - A capture or a refund was put off by the provider: when it may be sent, or earlier for what else is due.
    - Pending, uncertain, with an open refund, being captured or voided, or renumbered and not sent yet: by age, and at
      its expiry at the latest. What is unresolvable is not asked about.
    - Authorized, and nothing happens until its caller captures or closes it: by age, but at longer intervals.
    - Paid by one order while another can still be paid: by age, since it may be paid twice.
    - Final, with an order that was closed: at `LATE_CHECKS`, also when a later order was paid.
    - Otherwise final: never.
    """
    under_way = [
        op.in_flight_until
        for op in payment.operations
        if op.state is OperationState.SENT and op.in_flight_until > now
    ]
    if under_way:
        return min(under_way)
    put_off = [
        max(now, op.not_before)
        for op in payment.operations
        if is_put_off(payment, op) and op.not_before is not None
    ]
    if _is_to_ask_about(payment):
        return min([_by_age(payment, now), *put_off])
    if put_off:
        return min(put_off)
    if payment.status is Status.AUTHORIZED:
        return _by_age(payment, now, AUTHORIZED_INTERVAL_MAX_S)
    if _has_closed_order(payment):
        checks = (payment.updated_at + after for after in LATE_CHECKS)
        return next((check for check in checks if check > now), None)
    return None


def _is_to_ask_about(payment: Payment) -> bool:
    return (
        payment.status is Status.PENDING
        or _is_unsent_successor(payment)
        or is_moving(payment)
        or any(op.is_uncertain and not op.is_unresolvable for op in payment.operations)
        or is_needless(payment)
        or _has_refund_to_ask_about(payment)
    )


def _has_refund_to_ask_about(payment: Payment) -> bool:
    references = (refund.reference for refund in payment.refunds if refund.is_open)
    return any(not refund_operation(payment, reference).awaits_finding for reference in references)


def is_moving(payment: Payment) -> bool:
    """
    Whether an authorized payment is on its way to be captured or voided, without a further call by its caller.

    A capture that was refused for what does not pass by itself, or that awaits a finding, is the caller's or the
    operator's to mend.
    """
    if payment.status is not Status.AUTHORIZED:
        return False
    if any(may_have_arrived(close) for close in standing_closes(payment, payment.order_number)):
        return True
    capture = capture_of(payment, payment.order_number)
    if capture is not None and may_have_arrived(capture):
        return not capture.awaits_finding
    return payment.order.capture == "automatic" and (capture is None or _may_pass(capture))


def _may_pass(capture: Operation) -> bool:
    """Whether a capture that did not arrive is made again by itself; refused for the payer, they agreed again."""
    is_unsent = capture.state is OperationState.INTENT
    return is_unsent or (capture.failure is not None and capture.failure.who_acts in ("operator", "payer"))


def is_put_off(payment: Payment, operation: Operation) -> bool:
    """Whether the provider asked to send this capture or refund later, and it goes on by itself then."""
    if operation.state is not OperationState.INTENT or operation.not_before is None:
        return False
    is_to_take = operation.kind is OperationKind.CAPTURE and payment.status is Status.AUTHORIZED
    return is_to_take or operation.kind is OperationKind.REFUND


def _is_unsent_successor(payment: Payment) -> bool:
    """Whether its order was replaced by a new one that was not sent yet: recovery has not finished."""
    is_unsent = payment.status is Status.CREATED and payment.creation.state is OperationState.INTENT
    return is_unsent and has_earlier_number(payment)


def is_listed(payment: Payment) -> bool:
    """Whether what a list of the provider's orders says of the payment is all there is to ask."""
    orders = sum(op.kind is OperationKind.CREATE for op in payment.operations)
    return payment.status is Status.PENDING and not payment.uncertain and not payment.refunds and orders == 1


def is_left_to_caller(payment: Payment) -> bool:
    """Whether only a call by its caller goes on with it, to send or to capture it: waiting can't help."""
    if payment.status is Status.AUTHORIZED and not is_moving(payment):
        return not payment.uncertain and not _is_going_on(payment)
    is_unsent = payment.status is Status.CREATED and not payment.uncertain
    return is_unsent and not _is_unsent_successor(payment)


def is_awaited(payment: Payment) -> bool:
    """Whether waiting can help: the payment or a refund of it is open, and it needs no review."""
    is_under_way = not payment.status.is_final or is_refunding(payment) or _is_going_on(payment)
    return is_under_way and not payment.review and not is_left_to_caller(payment)


def _is_going_on(payment: Payment) -> bool:
    return any(is_put_off(payment, operation) for operation in payment.operations)


def is_needless(payment: Payment) -> bool:
    """Whether the current order can still be paid although an earlier one took the money."""
    observed = set(payment.creation.observed)
    is_open = bool(observed & {Status.PENDING, Status.AUTHORIZED}) and not payment.creation.is_settled
    return is_open and bool(payment.charges)


def is_refunding(payment: Payment) -> bool:
    """Whether the final status of any refund is outstanding."""
    return any(refund.is_open for refund in payment.refunds) or any(
        op.is_uncertain and op.kind is OperationKind.REFUND for op in payment.operations
    )


def is_open(payment: Payment) -> bool:
    """
    Whether anything is not final: its status, a refund, an unanswered close, a second order that can still be paid.

    A refund that could not be sent, or was refused because of the account, waits for its caller to call again.
    """
    return (
        not payment.status.is_final or payment.uncertain or has_open_refund(payment) or is_needless(payment)
    )


def has_open_refund(payment: Payment) -> bool:
    """Whether a refund is not final: also one that was never sent, and waits for its caller to call again."""
    return any(
        refund.status in (RefundStatus.CREATED, RefundStatus.UNKNOWN, RefundStatus.PENDING)
        for refund in payment.refunds
    )


def _has_closed_order(payment: Payment) -> bool:
    """Whether an order was closed and took no money."""
    charged = {charge.number for charge in payment.charges}
    return any(Status.CLOSED in op.observed and op.number not in charged for op in payment.operations)


def _by_age(payment: Payment, now: datetime, longest_s: float | None = None) -> datetime:
    age_s = (now - payment.updated_at).total_seconds()
    waits_for_payer = payment.status is Status.PENDING and not payment.uncertain
    due = now + timedelta(
        seconds=awaited_interval_s(age_s) if waits_for_payer else interval_s(age_s, longest_s)
    )
    if payment.expires_at is not None and now < payment.expires_at < due:
        return payment.expires_at
    return due
