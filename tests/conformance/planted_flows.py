"""Bugs for the checks of `flows`."""

import contextlib
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Attempt,
    CaptureOrder,
    CreateOrder,
    Done,
    Flow,
    Found,
    OrderRef,
    ProviderInfo,
    RefundOrder,
    Request,
    Response,
)
from paycore.testing.toy import SessionToyProvider, ToyProvider, ToySettings
from tests.conformance.good import toy
from tests.conformance.planting import Planted

_log = logging.getLogger("acme")


def altered(flow: Flow[Any], alter: Callable[[Request], Request]) -> Flow[Any]:
    """The flow with other requests."""
    response: Response | None = None
    while True:
        try:
            request = next(flow) if response is None else flow.send(response)
        except StopIteration as stop:
            return stop.value
        response = yield alter(request)


def with_headers(flow: Flow[Any], **headers: str) -> Flow[Any]:
    """The flow with further headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def further(request: Request) -> Request:
        return msgspec.structs.replace(request, headers={**request.headers, **named})

    return (yield from altered(flow, further))


# --- it only computes ------------------------------------------------------------------------------------------


class SignsTheClock(ToyProvider):
    """Sends the time of its own clock."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().create(order), x_time=str(int(time.time()))))


class DatesByClock(ToyProvider):
    """Sends the date of its own clock."""

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().refund(refund), x_date=datetime.now(UTC).isoformat()))


class StampsByClock(ToyProvider):
    """Renders the time of its own clock."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().create(order), x_time=time.strftime("%Y%m%d%H%M%S")))


class MakesNonces(ToyProvider):
    """Makes its own nonce."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().query(orders), x_nonce=uuid.uuid4().hex))


class Shuffles(ToyProvider):
    """Numbers its requests by chance."""

    def close(self, order: OrderRef) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().close(order), x_number=str(random.random())))


class Logs(ToyProvider):
    """Logs what it reads."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        _log.info("making %s", order.number)
        return (yield from super().create(order))


class Prints(ToyProvider):
    """Prints what it does."""

    def capture(self, capture: CaptureOrder) -> Flow[Any]:
        """See `Provider`."""
        print("capturing", capture.number)
        return (yield from super().capture(capture))


class ReadsAFile(ToyProvider):
    """Reads its key when it is made."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._key = Path(__file__).read_bytes()[:16]


class ResolvesItsHost(ToyProvider):
    """Resolves the address of the company's host."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        with contextlib.suppress(Exception):
            socket.getaddrinfo("127.0.0.1", 443)
        return (yield from super().create(order))


class Sleeps(ToyProvider):
    """Waits before it asks."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        time.sleep(0.001)
        return (yield from super().query(orders))


class StartsAThread(ToyProvider):
    """Warms something up beside the flow."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        threading.Thread(target=int).start()
        return (yield from super().create(order))


class ListsByItsClock(ToyProvider):
    """Declares by the time of day."""

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        os.urandom(4)
        return super().capabilities


# --- the same for the same -------------------------------------------------------------------------------------


class CountsRequests(ToyProvider):
    """Numbers its requests on the provider."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._count = 0

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        self._count += 1
        return (yield from with_headers(super().create(order), x_count=str(self._count)))


class JoinsASet(ToyProvider):
    """Sends names in the order of a set."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        names = {name for name in CreateOrder.__struct_fields__ if name != "attempt"}
        return (yield from with_headers(super().create(order), x_signed=",".join(names)))


class RemembersStates(ToyProvider):
    """Keeps what it saw of an order, and tells that again."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._seen: dict[str, Any] = {}

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().query(orders)
        if len(orders) == 1 and isinstance(outcome, Done):
            return self._seen.setdefault(orders[0].number, outcome)
        return outcome


class KeepsTheOrder(ToyProvider):
    """Keeps the order of a flow on the provider."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        self._order = order
        outcome = yield from super().create(order)
        yield Request(method="GET", path=f"/orders/{self._order.number}")
        return outcome


# --- sent again ------------------------------------------------------------------------------------------------


class KeyOfTheAttempt(ToyProvider):
    """Takes the key of a repeat from the attempt."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().create(order), idempotency_key=order.attempt.nonce))


class OtherReference(ToyProvider):
    """Sends another reference each time."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        minute = "even" if order.attempt.sent_at.minute % 2 else "odd"
        return (yield from super().create(msgspec.structs.replace(order, reference=minute)))


class ExpiryOfTheAttempt(ToyProvider):
    """Reckons when the order expires from when it is sent."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""

        def further(request: Request) -> Request:
            ends = int(order.attempt.sent_at.timestamp()) + (order.expires_in_s or 3600)
            body = msgspec.json.encode({**msgspec.json.decode(request.body), "expires_at": ends})
            return msgspec.structs.replace(request, body=body)

        return (yield from altered(super().create(order), further))


class NumberLeftOut(ToyProvider):
    """Uses the reference as the order's number."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from super().create(msgspec.structs.replace(order, number=order.reference)))


class RefundNumberLeftOut(ToyProvider):
    """Numbers a refund after its order."""

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from super().refund(msgspec.structs.replace(refund, number=f"R{refund.order.number}")))


# --- any end ---------------------------------------------------------------------------------------------------


class TrustsTheBody(ToyProvider):
    """Reads an answer without a look at its form."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        answers: list[Response] = []

        def kept(flow: Flow[Any]) -> Flow[Any]:
            request = next(flow)
            answers.append((yield request))
            try:
                flow.send(answers[0])
            except StopIteration as stop:
                return stop.value

        outcome = yield from kept(super().query(orders))
        msgspec.json.decode(answers[0].body)["records"]
        return outcome


class AsksForEver(ToyProvider):
    """Asks again until the order is there."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        while True:
            outcome = yield from super().query(orders)
            if isinstance(outcome, Done):
                return outcome


class ReturnsNothing(ToyProvider):
    """Has an end without an outcome."""

    def close(self, order: OrderRef) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().close(order)
        return outcome if isinstance(outcome, Done) else None


class HoldsOn(ToyProvider):
    """Asks once more when it is closed."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        try:
            return (yield from super().create(order))
        finally:
            yield Request(method="GET", path="/query")


class LeavesALock(ToyProvider):
    """Is busy until the flow ends, and stays so when it is closed."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._is_busy = False

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        """See `Provider`."""
        busy, self._is_busy = self._is_busy, True
        outcome = yield from with_headers(super().refund(refund), x_busy=str(busy))
        self._is_busy = False
        return outcome


# --- what it is given, what it sends ---------------------------------------------------------------------------


class AddsToExtra(ToyProvider):
    """Adds its own field to the order's."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        order.extra["source"] = "paycore"  # type: ignore[index]
        return (yield from super().create(order))


class SortsOrders(ToyProvider):
    """Takes from the list that it is given."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        if not orders:
            return Done(Found())
        outcome = yield from super().query(orders)
        orders.clear()  # type: ignore[attr-defined]
        return outcome


class UndeclaredHost(ToyProvider):
    """Asks a host that it has not declared."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""

        def elsewhere(request: Request) -> Request:
            return msgspec.structs.replace(request, host="status")

        return (yield from altered(super().query(orders), elsewhere))


class KeyInThePath(ToyProvider):
    """Sends its key in a path."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""

        def keyed(request: Request) -> Request:
            key = self._settings.key[0].reveal()
            return msgspec.structs.replace(request, path=f"{request.path}?key={key}")

        return (yield from altered(super().query(orders), keyed))


class OwnHostHeader(SessionToyProvider):
    """Sets a header that is not its own."""

    info: ClassVar[ProviderInfo] = ToyProvider.info

    def open_session(self, attempt: Attempt) -> Flow[Any]:
        """See `Provider`."""
        return (yield from with_headers(super().open_session(attempt), host="api.toy.example"))


def safely(name: str) -> type[ToyProvider]:
    """A provider whose flow of this name says that its requests are safe."""

    class Safely(ToyProvider):
        pass

    def safe(request: Request) -> Request:
        return msgspec.structs.replace(request, safe=True)

    def flow(self: ToyProvider, given: Any) -> Flow[Any]:
        return (yield from altered(getattr(ToyProvider, name)(self, given), safe))

    setattr(Safely, name, flow)
    return Safely


BUGS = [
    *(
        Planted("provider_only_computes", bug, toy(provider, captures="full"))
        for bug, provider in (
            ("reads the clock for a signature", SignsTheClock),
            ("dates a refund by its own clock", DatesByClock),
            ("renders the time of its own clock", StampsByClock),
            ("makes its own nonce", MakesNonces),
            ("numbers requests by chance", Shuffles),
            ("logs", Logs),
            ("prints", Prints),
            ("reads a file when it is made", ReadsAFile),
            ("looks its host up", ResolvesItsHost),
            ("sleeps", Sleeps),
            ("starts a thread", StartsAThread),
            ("declares by chance", ListsByItsClock),
        )
    ),
    Planted("same_input_makes_the_same_requests", "a counter on the provider is sent", toy(CountsRequests)),
    Planted("same_input_makes_the_same_requests", "names are in the order of a set", toy(JoinsASet)),
    Planted("same_input_makes_the_same_requests", "a random nonce is sent", toy(MakesNonces)),
    Planted("same_input_makes_the_same_requests", "tells again what it saw first", toy(RemembersStates)),
    Planted("flows_share_nothing", "the order is kept on the provider", toy(KeepsTheOrder)),
    Planted("resend_differs_by_its_attempt_only", "the key of a repeat is the nonce", toy(KeyOfTheAttempt)),
    Planted("resend_differs_by_its_attempt_only", "the reference changes", toy(OtherReference)),
    Planted("resend_differs_by_its_attempt_only", "expires by when it is sent", toy(ExpiryOfTheAttempt)),
    Planted("number_reaches_the_company", "the reference is sent as the number", toy(NumberLeftOut)),
    Planted(
        "number_reaches_the_company",
        "a refund's number is made of its order's",
        toy(RefundNumberLeftOut, refund_resend="refused_as_duplicate"),
    ),
    Planted("flows_end_on_any_answer", "an answer is read as if it had its form", toy(TrustsTheBody)),
    Planted("flows_end_on_any_answer", "asks until there is an answer", toy(AsksForEver)),
    Planted("flows_end_on_any_answer", "an end without an outcome", toy(ReturnsNothing)),
    Planted("closed_flow_lets_go", "asks once more when it is closed", toy(HoldsOn)),
    Planted("closed_flow_lets_go", "a closed flow leaves the provider busy", toy(LeavesALock)),
    Planted("flows_change_nothing_they_are_given", "adds to the order's extra fields", toy(AddsToExtra)),
    Planted("flows_change_nothing_they_are_given", "empties the list of orders", toy(SortsOrders)),
    Planted("requests_can_be_sent", "a host that is not declared", toy(UndeclaredHost)),
    Planted("requests_can_be_sent", "a key in the path", toy(KeyInThePath)),
    Planted("requests_can_be_sent", "a header that is the core's", toy(OwnHostHeader)),
    *(
        Planted(
            "safe_requests_move_no_money",
            f"a {name} says that it is safe",
            toy(safely(name), captures="full"),
        )
        for name in ("create", "capture", "refund")
    ),
]
