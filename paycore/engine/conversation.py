"""
One provider conversation as a program: requests out, responses in, within one deadline.

The only loop between core and provider. What a flow raises, and what goes wrong on the wire, becomes a
typed error that says whether the money may have moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import structs

from paycore.domain.lifecycle import refund_operation
from paycore.domain.money import Money
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, RefundStatus
from paycore.domain.provider import OrderRef, RefundOrder, Secret
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Request, Response
from paycore.engine.accounts import Account
from paycore.engine.contract import ask, misused, request_problem
from paycore.engine.effects import OnWire, Program
from paycore.engine.telling import tell_request
from paycore.engine.transport import Deadline, Stopwatch
from paycore.errors import MaybeSent, NotSent, PluginError

T = TypeVar("T")

QUESTIONS_MAX = 10
"""Questions asked in one go; what is left over has its turn the next time."""


def converse(
    account: Account, flow: Flow[T], deadline: Deadline | None = None, *, auth_code: Secret | None = None
) -> Program[T]:
    """
    What the flow returns, by `deadline` (None: the account's whole time from now).

    Raises `NotSent` when nothing left this machine, `MaybeSent` when no usable answer came, `PluginError`
    when the flow itself failed. Only the first request can be not sent: after that everything is maybe.
    `auth_code` is kept out of what the plugin says.
    """
    deadline = deadline or Deadline(account.timeout_s)
    failure: NotSent | MaybeSent = MaybeSent(
        f"account {account.name}: the provider asked for more than {FLOW_REQUESTS_MAX} requests"
    )
    secrets = account.secrets if auth_code is None else (*account.secrets, auth_code)
    request, result = _begin(account, flow, auth_code)
    for sent in range(FLOW_REQUESTS_MAX):
        if request is None:
            return result
        watch = Stopwatch()
        try:
            response: Response = yield OnWire(account.name, account.base_url, request, deadline)
        except (NotSent, MaybeSent) as error:
            tell_request(account.name, request, error, watch, secrets)
            is_sure = isinstance(error, NotSent) and not sent
            failure = (NotSent if is_sure else MaybeSent)(f"account {account.name}: {error.message}")
            break
        tell_request(account.name, request, response.status, watch, secrets)
        request, result = _advance(account, flow, response, auth_code)
    if request is None:
        return result
    _end_early(flow)
    raise failure


def _begin(account: Account, flow: Flow[T], auth_code: Secret | None) -> tuple[Request | None, T]:
    """The flow's first request, or None and what it returned; an error of it says that nothing was sent."""
    try:
        return _advance(account, flow, None, auth_code)
    except PluginError as error:
        error.money_moved = "no"
        raise


def _advance(
    account: Account, flow: Flow[T], response: object, auth_code: Secret | None
) -> tuple[Request | None, T]:
    """The flow's next request, or None and what it returned."""

    def advance() -> tuple[Request | None, T]:
        try:
            request = flow.send(response)  # type: ignore[arg-type]
        except StopIteration as stop:
            return None, stop.value
        problem = request_problem(request)
        if problem is not None:
            raise misused(account, "flow", problem)
        return request, None  # type: ignore[return-value]

    return ask(account, "flow", advance, may_raise=(PluginError,), auth_code=auth_code)


def _end_early(flow: Flow[T]) -> None:
    """Close a flow whose answer can't come any more, whatever it does then."""
    try:
        flow.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - what is known of the request is what counts
        pass


def order_ref(payment: Payment, operation: Operation, asked_at: datetime) -> OrderRef:
    """The order this create operation made, as its provider is asked about it."""
    return OrderRef(
        kind="payment",
        number=operation.number,
        provider_id=operation.provider_id,
        begun_at=operation.begun_at,
        asked_at=asked_at,
        amount=payment.amount,
        method=payment.method,
        channel=payment.channel,
    )


def refs_to_ask(payment: Payment, asked_at: datetime) -> Iterator[OrderRef]:
    """Every number whose state can still tell something: all orders sent, and open refunds."""
    for operation in payment.operations:
        if operation.kind is OperationKind.CREATE and operation.state is not OperationState.INTENT:
            yield order_ref(payment, operation, asked_at)
    for refund in payment.refunds:
        operation = refund_operation(payment, refund.reference)
        if refund.is_open or (operation.is_uncertain and refund.status is RefundStatus.CREATED):
            yield _refund_ref(payment, operation, refund.amount, asked_at)


def questions(refs: Sequence[OrderRef], size: int, asked_at: datetime) -> list[Sequence[OrderRef]]:
    """
    What is asked about in one flow each, at most `size` numbers: `QUESTIONS_MAX` of them.

    Another one comes first each time, so that none is kept from being asked by those before it.
    """
    batches = [refs[start : start + size] for start in range(0, len(refs), size)]
    first = int(asked_at.timestamp() * 1000) % max(1, len(batches))
    return [*batches[first:], *batches[:first]][:QUESTIONS_MAX]


def _refund_ref(payment: Payment, operation: Operation, amount: Money, asked_at: datetime) -> OrderRef:
    return OrderRef(
        kind="refund",
        number=operation.number,
        provider_id=operation.provider_id,
        begun_at=operation.begun_at,
        asked_at=asked_at,
        amount=amount,
        method=payment.method,
        channel=payment.channel,
    )


def refund_order(payment: Payment, operation: Operation, now: datetime) -> RefundOrder:
    """The refund this operation makes, as its provider is given it: of the charge it goes back from."""
    refund = payment.refund(operation.refund_reference or "")
    if refund is None:
        raise LookupError(f"operation {operation.id} has no refund")
    charge = payment.charge_for(refund)
    order = next(op for op in payment.operations if op.number == charge.number)
    paid = structs.replace(order_ref(payment, order, now), provider_id=charge.provider_id)
    return RefundOrder(
        number=operation.number,
        begun_at=operation.begun_at,
        amount=refund.amount,
        order=paid,
        reason=refund.reason,
    )
