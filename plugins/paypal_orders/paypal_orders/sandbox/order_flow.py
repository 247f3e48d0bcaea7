"""What happens to an order: what the merchant asks for and what the payer does. Source: SOURCES.md §5 to §9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec.structs import asdict, replace

from paycore.sandbox.api import NotPossible
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import FAILING_REFUND, REFUSE_REFUND
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.book import OrderBook
from paypal_orders.sandbox.records import OPEN, TAKEN, Made, SandboxOrder
from paypal_orders.sandbox.refusals import unprocessable
from paypal_orders.sandbox.requests_read import WantedOrder
from paypal_orders.sandbox.sandbox_settings import SandboxSettings

DAY_MS = 24 * 3600 * 1000
ECHECK_MS = 3 * DAY_MS
"""How long an eCheck takes here; PayPal says days."""
AUTHORIZATION_MS = 29 * DAY_MS
"""Source: SOURCES.md §7."""

INSTRUMENTS = {
    "balance": "PayPal balance",
    "declined": "A card that is declined",
    "echeck": "Bank account by eCheck: takes days",
    "refused": "An account that can't pay",
    "lost": "A payment PayPal declines afterwards",
}
"""What the payer may choose, and its name on the page."""

Tell = Callable[[str, SandboxOrder, Made | None], None]


class OrderFlow:
    """
    The rules for changes of orders in the book.

    `on_made` is called with a new order, and `tell` with each event, after the change is written.
    """

    def __init__(
        self,
        clock: SandboxClock,
        book: OrderBook,
        faults: FaultBoard,
        settings: SandboxSettings,
        *,
        on_made: Callable[[SandboxOrder], None],
        tell: Tell,
    ) -> None:
        self.book = book
        self.requests: Counter[str] = Counter()
        self._clock = clock
        self._faults = faults
        self._life_ms = settings.order_life_s * 1000
        self._on_made = on_made
        self._tell = tell

    # --- the merchant ---------------------------------------------------------------------------------

    def create(self, wanted: WantedOrder) -> SandboxOrder:
        now = self._clock.now_ms()
        order = SandboxOrder(
            **asdict(wanted),
            id=self.book.new_id(),
            status="PAYER_ACTION_REQUIRED" if wanted.is_by_source else "CREATED",
            created_at=now,
            updated_at=now,
            ends_at=now + self._life_ms,
        )
        self.book.put(order)
        self._on_made(order)
        return order

    def capture(self, order: SandboxOrder, payer_url: str) -> tuple[SandboxOrder, Made]:
        """The one capture of an order its payer agreed to."""
        if order.captures:
            raise unprocessable("ORDER_ALREADY_CAPTURED")
        if order.intent != "CAPTURE":
            raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT")
        self._check_agreed(order, payer_url)
        capture = self._new_capture(order, order.units)
        return self._captured(replace(order, status="COMPLETED"), capture), capture

    def authorize(self, order: SandboxOrder, payer_url: str) -> tuple[SandboxOrder, Made]:
        """The one authorization of an order its payer agreed to."""
        if order.authorizations:
            raise unprocessable("ORDER_ALREADY_AUTHORIZED")
        if order.intent != "AUTHORIZE":
            raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT")
        self._check_agreed(order, payer_url)
        status = "DENIED" if order.instrument == "lost" else "CREATED"
        made = replace(
            self._made(order, order.units, status), ends_at=self._clock.now_ms() + AUTHORIZATION_MS
        )
        order = self._put(replace(order, status="COMPLETED").with_made("authorizations", made))
        self._tell("PAYMENT.AUTHORIZATION.CREATED", order, made)
        return order, made

    def capture_authorization(
        self, order: SandboxOrder, authorization: Made, units: int | None, *, is_final: bool
    ) -> tuple[SandboxOrder, Made]:
        self._check_capturable(authorization)
        before = sum(one.units for one in order.captures if one.of == authorization.id)
        units = authorization.units - before if units is None else units
        if before + units > authorization.units:
            raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED", "amount/value")
        is_whole = is_final or before + units == authorization.units
        status = "CAPTURED" if is_whole else "PARTIALLY_CAPTURED"
        capture = replace(self._new_capture(order, units), of=authorization.id)
        order = order.with_made("authorizations", self._changed(authorization, status))
        return self._captured(order, capture), capture

    def void(self, order: SandboxOrder, authorization: Made) -> SandboxOrder:
        if authorization.status == "VOIDED":
            raise unprocessable("PREVIOUSLY_VOIDED")
        if authorization.status == "CAPTURED":
            raise unprocessable("PREVIOUSLY_CAPTURED")
        if authorization.status == "DENIED":
            raise unprocessable("AUTHORIZATION_DENIED")
        voided = self._changed(authorization, "VOIDED")
        order = self._put(order.with_made("authorizations", voided))
        self._tell("PAYMENT.AUTHORIZATION.VOIDED", order, voided)
        return order

    def refund(
        self, order: SandboxOrder, capture: Made, units: int | None, custom_id: str
    ) -> tuple[SandboxOrder, Made]:
        """A refund of all that is left, or of `units`."""
        if capture.status == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        if capture.status not in TAKEN:
            raise unprocessable("REFUND_NOT_ALLOWED")
        live = [
            one for one in order.refunds if one.of == capture.id and one.status in ("COMPLETED", "PENDING")
        ]
        left = capture.units - sum(one.units for one in live)
        if left == 0:
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        units = left if units is None else units
        if units > left:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED", "amount/value")
        if self._faults.take(REFUSE_REFUND) is not None:
            raise unprocessable("REFUND_NOT_ALLOWED")
        failing = self._faults.take(FAILING_REFUND)
        is_pending = failing is not None or self._faults.take("pending_refund") is not None
        made = self._made(order, units, "PENDING" if is_pending else "COMPLETED")
        made = replace(made, custom_id=custom_id or capture.custom_id, of=capture.id)
        made = replace(made, reason="ECHECK" if is_pending else "")
        order = self._with_refund(order, made)
        self._tell("PAYMENT.REFUND.PENDING" if is_pending else "PAYMENT.CAPTURE.REFUNDED", order, made)
        if failing is not None:
            due = self._clock.now_ms() + round(failing.number("seconds") * 1000)
            self._clock.call_at(due, lambda: self._fail_if_pending(made.id))
        return order, made

    # --- the payer ------------------------------------------------------------------------------------

    def approve(self, number: str, instrument: str = "balance") -> SandboxOrder:
        """The payer agrees, to pay with this instrument. `NotPossible` when the order is not open."""
        with self.book.lock:
            order = self._open(number)
            now = self._clock.now_ms()
            order = self._put(
                replace(order, status="APPROVED", instrument=instrument, ends_at=now + self._life_ms)
            )
        self._tell("CHECKOUT.ORDER.APPROVED", order, None)
        return order

    def is_open(self, order_id: str) -> bool:
        """Whether its payer can agree."""
        order = self.book.order(order_id)
        return order is not None and order.status in OPEN

    def expire(self, number: str) -> SandboxOrder:
        """The order's time is up now."""
        with self.book.lock:
            order = self.book.find(number)
            if order.is_expired or order.status == "COMPLETED":
                raise NotPossible(f"order is {'gone' if order.is_expired else 'completed'}")
            return self.book.put(replace(order, ends_at=self._clock.now_ms())).at(self._clock.now_ms())

    def settle(self, number: str, *, is_good: bool) -> SandboxOrder:
        """What was pending is completed, or declined. `NotPossible` when nothing is."""
        with self.book.lock:
            order = self.book.find(number)
            pending = next((one for one in order.captures if one.status == "PENDING"), None)
            if pending is None:
                raise NotPossible("no capture of it is pending")
            capture = replace(self._changed(pending, "COMPLETED" if is_good else "DECLINED"), reason="")
            order = self._put(order.with_made("captures", capture))
        self._tell(f"PAYMENT.CAPTURE.{capture.status}", order, capture)
        return order

    def settle_refund(self, order: SandboxOrder, refund: Made, status: str) -> SandboxOrder:
        """A pending refund is completed, or failed."""
        if refund.status != "PENDING":
            raise NotPossible(f"the refund is {refund.status}, and PayPal's stay so")
        with self.book.lock:
            made = replace(self._changed(refund, status), reason="")
            order = self._with_refund(self.book.find(order.id), made)
        self._tell("PAYMENT.REFUND.FAILED" if status == "FAILED" else "PAYMENT.CAPTURE.REFUNDED", order, made)
        return order

    def _fail_if_pending(self, refund_id: str) -> None:
        with suppress(NotPossible):
            self.settle_refund(*self.book.refund(refund_id), "FAILED")

    def resume(self) -> None:
        """Plan again what was still to happen when the last process ended."""
        for order in self.book.orders():
            for capture in order.captures:
                self._plan_echeck(order, capture)

    # --- inside ---------------------------------------------------------------------------------------

    def _open(self, number: str) -> SandboxOrder:
        order = self.book.find(number)
        if order.is_expired or order.status not in OPEN:
            raise NotPossible(f"order is {'gone' if order.is_expired else order.status}")
        return order

    def _check_agreed(self, order: SandboxOrder, payer_url: str) -> None:
        if order.status in OPEN:
            raise unprocessable("ORDER_NOT_APPROVED")
        if order.status != "APPROVED":
            raise unprocessable("ORDER_COMPLETED_OR_VOIDED")
        if order.instrument == "refused":
            raise unprocessable("PAYER_CANNOT_PAY")
        if order.instrument == "declined":
            self._put(replace(order, status="PAYER_ACTION_REQUIRED"))
            raise unprocessable("INSTRUMENT_DECLINED", payer_url=payer_url)

    def _check_capturable(self, authorization: Made) -> None:
        final = {"CAPTURED": "AUTHORIZATION_ALREADY_CAPTURED", "VOIDED": "AUTHORIZATION_VOIDED"}
        if authorization.status in final or authorization.status == "DENIED":
            raise unprocessable(final.get(authorization.status, "AUTHORIZATION_DENIED"))
        if authorization.ends_at is not None and self._clock.now_ms() >= authorization.ends_at:
            raise unprocessable("AUTHORIZATION_EXPIRED")

    def _new_capture(self, order: SandboxOrder, units: int) -> Made:
        pending = self._faults.take("pending_capture")
        if pending is not None:
            return replace(self._made(order, units, "PENDING"), reason=pending.text("reason"))
        if order.instrument == "echeck":
            ends_at = self._clock.now_ms() + ECHECK_MS
            return replace(self._made(order, units, "PENDING"), reason="ECHECK", ends_at=ends_at)
        return self._made(order, units, "DECLINED" if order.instrument == "lost" else "COMPLETED")

    def _captured(self, order: SandboxOrder, capture: Made) -> SandboxOrder:
        order = self._put(order.with_made("captures", capture))
        self._plan_echeck(order, capture)
        self._tell(f"PAYMENT.CAPTURE.{capture.status}", order, capture)
        return order

    def _with_refund(self, order: SandboxOrder, refund: Made) -> SandboxOrder:
        """With this refund, and its capture in the state that follows from all of them."""
        order = order.with_made("refunds", refund)
        capture = next(one for one in order.captures if one.id == refund.of)
        done = sum(one.units for one in order.refunds if one.of == capture.id and one.status == "COMPLETED")
        partly = "PARTIALLY_REFUNDED" if done else "COMPLETED"
        status = "REFUNDED" if done >= capture.units else partly
        return self._put(order.with_made("captures", self._changed(capture, status)))

    def _made(self, order: SandboxOrder, units: int, status: str) -> Made:
        now = self._clock.now_ms()
        return Made(
            id=self.book.new_id(),
            status=status,
            units=units,
            created_at=now,
            updated_at=now,
            custom_id=order.custom_id,
        )

    def _changed(self, made: Made, status: str) -> Made:
        return replace(made, status=status, updated_at=self._clock.now_ms())

    def _put(self, order: SandboxOrder, **changes: Any) -> SandboxOrder:
        return self.book.put(replace(order, updated_at=self._clock.now_ms(), **changes))

    def _plan_echeck(self, order: SandboxOrder, capture: Made) -> None:
        if capture.status == "PENDING" and capture.ends_at is not None:
            self._clock.call_at(capture.ends_at, lambda: self._settle_if_pending(order.id))

    def _settle_if_pending(self, order_id: str) -> None:
        if any(one.status == "PENDING" for one in self.book.find(order_id).captures):
            self.settle(order_id, is_good=True)
