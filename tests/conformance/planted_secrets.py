"""Bugs for the checks of `secrets`."""

import base64
import logging
from collections.abc import Generator, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from paycore.plugin import (
    Attempt,
    CreateOrder,
    Done,
    Flow,
    InvalidField,
    NotAuthentic,
    Notice,
    Notification,
    OrderRef,
    ProviderInfo,
    Redirect,
    Request,
    Response,
    Session,
    Unknown,
)
from paycore.testing.toy import SIGNATURE_HEADER, SessionToyProvider, ToyProvider, ToySettings, sign
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted

T = TypeVar("T")


class Leaky(ToyProvider):
    """Has its first key at hand."""

    @property
    def key(self) -> str:
        """The key in plain text."""
        return self._settings.key[0].reveal()

    @property
    def encoded(self) -> str:
        """The key as HTTP's Basic scheme writes it."""
        return base64.b64encode(f"shop:{self.key}".encode()).decode()


def altered(flow: Flow[T], alter: Any) -> Generator[Request, Response, T]:
    """The flow with each of its requests altered."""
    response = None
    while True:
        try:
            request = next(flow) if response is None else flow.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        response = yield alter(request)


class SendsItInThePath(Leaky):
    """Sends the key in the query string, encoded."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""

        def with_key(request: Request) -> Request:
            return msgspec.structs.replace(request, path=f"{request.path}?auth={self.encoded}")

        return (yield from altered(super().query(orders), with_key))


class SendsTheTokenInThePath(SessionToyProvider):
    """Sends the token in the query string, in hexadecimal."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""

        def with_token(request: Request) -> Request:
            token = orders[0].attempt.session.reveal()
            return msgspec.structs.replace(request, path=f"{request.path}?token={token.encode().hex()}")

        return (yield from altered(super().query(orders), with_token))


class ShowsItself(Leaky):
    """Has a repr for debugging."""

    def __repr__(self) -> str:
        return f"ToyProvider(key={self.key!r})"


class RefusingSettings(ToySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shows what it refuses."""

    def __post_init__(self) -> None:
        for key in self.key:
            if " " in key.reveal():
                raise ValueError(f"key: {key.reveal()!r} has a space in it")


class ShowsTheWrongKey(ToyProvider):
    """Has such settings."""

    info: ClassVar[ProviderInfo] = msgspec.structs.replace(ToyProvider.info, settings=RefusingSettings)


class TellsTheSignature(Leaky):
    """Says which signature would have been right."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        right = sign(notification.body, self.key)
        if notification.headers.get(SIGNATURE_HEADER) != right:
            raise NotAuthentic(f"the signature should be {right}")
        return super().verify(notification)


class TellsTheKey(Leaky):
    """Says which key it has tried."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        try:
            return super().verify(notification)
        except NotAuthentic:
            raise NotAuthentic(f"{self.key} does not make the signature") from None


class ShowsTheCode(ToyProvider):
    """Shows the scanned code that it refuses."""

    def check(self, order: CreateOrder) -> None:
        """See `FullProvider`."""
        if order.auth_code is not None and not order.auth_code.reveal().isdigit():
            raise InvalidField("auth_code", f"{order.auth_code.reveal()} is no code")


class QuotesWhatCame(Leaky):
    """Puts a body that it can't read into the problem; what it sends has its key encoded."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        last: list[bytes] = []

        def with_key(request: Request) -> Request:
            headers = {**request.headers, "authorization": f"Basic {self.encoded}"}
            return msgspec.structs.replace(request, headers=headers)

        outcome = yield from _overheard(altered(super().create(order), with_key), last)
        return Unknown(problem=last[-1].decode()) if isinstance(outcome, Unknown) else outcome


def _overheard(flow: Flow[T], heard: list[bytes]) -> Generator[Request, Response, T]:
    """The flow, with the bodies of its responses kept."""
    response = None
    while True:
        try:
            request = next(flow) if response is None else flow.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        response = yield request
        heard.append(response.body)


class KeepsItAsEvidence(Leaky):
    """Tells its key among the words it has of an order."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().query(orders)
        if not isinstance(outcome, Done):
            return outcome
        seen = tuple(
            msgspec.structs.replace(one, words={"account": self.encoded})
            for one in outcome.value.observations
        )
        return Done(msgspec.structs.replace(outcome.value, observations=seen))


class LogsItsRequests(Leaky):
    """Logs what it sends."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        logging.getLogger("toy").debug("create %s with %s", order.number, self.key)
        return (yield from super().create(order))


class LinksWithItsKey(Leaky):
    """Gives the payer's browser its key."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().create(order)
        if not isinstance(outcome, Done) or not isinstance(outcome.value.action, Redirect):
            return outcome
        link = Redirect(url=f"{outcome.value.action.url}?client={self.encoded}")
        return Done(msgspec.structs.replace(outcome.value, action=link))


class KeepsAPlainToken(SessionToyProvider):
    """Keeps its token as text."""

    def open_session(self, attempt: Attempt) -> Flow[Any]:
        """See `FullProvider`."""
        outcome = yield from super().open_session(attempt)
        return (
            Done(Session(value=PlainToken(outcome.value.value.reveal())))
            if isinstance(outcome, Done)
            else outcome
        )


class SignsWithItsLastKey(SessionToyProvider):
    """Takes the last of its keys for the newest."""

    def open_session(self, attempt: Attempt) -> Flow[Any]:
        """See `FullProvider`."""
        last = msgspec.structs.replace(self._settings, key=self._settings.key[-1:])
        return (yield from SessionToyProvider(last).open_session(attempt))


class PlainToken(msgspec.Struct, frozen=True):
    """A token that is used like a `Secret`, and is none."""

    text: str

    def reveal(self) -> str:
        """The token."""
        return self.text


TOKENS = ToySandbox("toy-session", needs_token=True)

BUGS = [
    Planted("secret_is_in_no_request_target", "the key is in a query string, encoded", toy(SendsItInThePath)),
    Planted(
        "secret_is_in_no_request_target",
        "the token is in a query string, in hexadecimal",
        toy(SendsTheTokenInThePath, TOKENS),
    ),
    Planted("secret_is_in_no_repr", "the provider's repr has the key", toy(ShowsItself)),
    Planted("secret_is_in_no_settings_error", "the wrong value is shown", toy(ShowsTheWrongKey)),
    Planted("secret_is_in_no_refusal", "the right signature is told", toy(TellsTheSignature)),
    Planted("secret_is_in_no_refusal", "the key is told", toy(TellsTheKey)),
    Planted("auth_code_is_in_no_refusal", "the code is shown", toy(ShowsTheCode, scans=True)),
    Planted("secret_is_in_no_outcome", "an error page is quoted", toy(QuotesWhatCame)),
    Planted("secret_is_in_no_outcome", "the key is among the words", toy(KeepsItAsEvidence)),
    Planted("secret_is_in_no_log", "what is sent is logged", toy(LogsItsRequests)),
    Planted("secret_is_in_no_ledger", "the key is among the words, encoded", toy(KeepsItAsEvidence)),
    Planted("first_of_several_keys_signs", "the last one does", toy(SignsWithItsLastKey, TOKENS)),
    Planted("secret_is_not_shown_to_the_payer", "the link has the key, encoded", toy(LinksWithItsKey)),
    Planted("session_is_kept_secret", "the token is plain text", toy(KeepsAPlainToken, TOKENS)),
]
