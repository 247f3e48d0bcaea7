"""A plugin that puts its key wherever it can: into errors, their causes and variables, and its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from paycore.domain.events import Event
from paycore.plugin import (
    Created,
    CreateOrder,
    Done,
    Failure,
    Flow,
    InvalidField,
    MalformedNotification,
    NotAuthentic,
    Notification,
    OrderRef,
    PaymentObservation,
    Provider,
    Redirect,
    RefundOrder,
    Rejected,
    Request,
    Status,
    Unknown,
    hookimpl,
)
from paycore.testing.toy import ToyProvider, ToySettings


class KeyShownError(Exception):
    """Shows the key in each way an exception can."""

    def __init__(self, key: str) -> None:
        super().__init__(f"bad key {key}")
        self.key = key
        self.add_note(f"it was {key}")

    def __repr__(self) -> str:
        return f"KeyShownError({self.key})"


def fail(key: str) -> Any:
    """Raise an error whose cause and frame hold the key too."""
    own_copy_of_the_key = key.upper() and key
    try:
        raise KeyShownError(own_copy_of_the_key)
    except KeyShownError as error:
        raise ValueError(f"can't sign with {key}: {error}") from error


Leak = Callable[["LeakyToy"], Any]


class LeakyToy(ToyProvider):
    """The toy; `leaks` names the method that leaks, `how` what it does."""

    leaks: ClassVar[str] = ""
    how: ClassVar[str] = "raise"

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self.key = settings.key[0].reveal()
        self._leak("settings")

    def _leak(self, method: str) -> None:
        if self.leaks != method:
            return
        match self.how:
            case "raise":
                fail(self.key)
            case "interrupt":
                raise KeyboardInterrupt
            case "refuse the field":
                raise InvalidField("subject", f"does not go with {self.key}") from KeyShownError(self.key)
            case "refuse the signature":
                raise NotAuthentic(f"signed with another key than {self.key}") from KeyShownError(self.key)
            case "refuse the bytes":
                raise MalformedNotification(f"can't be read with {self.key}") from KeyShownError(self.key)
            case _:
                pass

    @property
    def capabilities(self) -> Any:
        self._leak("capabilities")
        return super().capabilities

    def check(self, order: CreateOrder) -> None:
        self._leak("check")

    def create(self, order: CreateOrder) -> Flow[Any]:
        self._leak("create, before it asks")
        if self.leaks in ("create, path it asks", "create, header it sends"):
            path = f"/query?key={self.key}" if self.leaks == "create, path it asks" else "/query"
            yield Request(method="POST", path=path, headers={"x": self.key}, body=b'{"numbers":[]}')
        outcome = yield from super().create(order)
        self._leak("create, once it was answered")
        seen = PaymentObservation(
            number=order.number,
            status=Status.PENDING,
            provider_id="T000001",
            words={"said": f"with {self.key}"},
        )
        match self.leaks:
            case "create, words":
                return Done(Created(observation=seen, action=Redirect(url="https://toy.example/")))
            case "create, link":
                return Done(
                    Created(observation=seen, action=Redirect(url=f"https://toy.example/?k={self.key}"))
                )
            case "create, refusal":
                return Rejected(failure=Failure(code="no", message=f"{self.key} is wrong", advice=self.key))
            case "create, problem":
                return Unknown(problem=f"nothing usable with {self.key}", observation=seen)
            case "create, nonsense":
                return Done(self.key)
            case _:
                return outcome

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        self._leak("query, before it asks")
        outcome = yield from super().query(orders)
        self._leak("query, once it was answered")
        if self.leaks == "query, problem":
            return Unknown(problem=f"nothing usable with {self.key}")
        return outcome

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        outcome = yield from super().refund(refund)
        self._leak("refund")
        return outcome

    def close(self, order: OrderRef) -> Flow[Any]:
        outcome = yield from super().close(order)
        self._leak("close")
        return outcome

    def verify(self, notification: Notification) -> Any:
        self._leak("verify")
        return super().verify(notification)

    def acknowledge(self) -> Any:
        self._leak("acknowledge")
        return super().acknowledge()


class LeakyPlugin:
    """Offers the leaky toy, and observes."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[Provider]]:
        return [LeakyToy]

    @hookimpl
    def paycore_after_commit(self, event: Event) -> None:
        if LeakyToy.leaks == "observer":
            raise RuntimeError(f"an observer of {event.payment_id} failed")
