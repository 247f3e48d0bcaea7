"""Bugs for the checks of `authenticity`."""

import hmac
import json
import socket
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    MalformedNotification,
    Mention,
    NotAuthentic,
    Notice,
    Notification,
    PaymentObservation,
    Status,
)
from paycore.testing.toy import SIGNATURE_HEADER, ToyProvider, read_record, sign
from paycore.testing.toy.toy_answers import TIME_HEADER
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class Believing(ToyProvider):
    """Reads a notification once its subclass takes it for authentic."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        if not self.is_authentic(notification):
            raise NotAuthentic("the toy's signature does not hold")
        try:
            return [read_record(notification.body)]
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise MalformedNotification("the toy's notification is not a record") from None

    def is_authentic(self, notification: Notification) -> bool:
        """Whether it is signed."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The first key."""
        return self._settings.key[0].reveal()


class BelievesAll(Believing):
    """Verifies nothing."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        return True


class TrimsTheBody(Believing):
    """Takes the spaces around a body for nothing."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        return sign(notification.body.strip(), self.key) == notification.headers.get(SIGNATURE_HEADER)


class VerifiesTheReadFields(Believing):
    """Verifies the body as JSON has it, not as it arrived."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        try:
            written = msgspec.json.encode(msgspec.json.decode(notification.body))
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return False
        return sign(written, self.key) == notification.headers.get(SIGNATURE_HEADER)


class VerifiesTheLength(Believing):
    """Takes whatever is as long as a signature."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        return len(notification.headers.get(SIGNATURE_HEADER, "")) == len(sign(b"", self.key))


_FIRST_KEY: list[str] = []


class SharesItsKey(Believing):
    """Keeps the key of the first account for all of them."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        if not _FIRST_KEY:
            _FIRST_KEY.append(self.key)
        return sign(notification.body, _FIRST_KEY[0]) == notification.headers.get(SIGNATURE_HEADER)


class VerifiesWhatIsSigned(Believing):
    """Verifies only what has a signature."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        given = notification.headers.get(SIGNATURE_HEADER)
        return given is None or given == sign(notification.body, self.key)


class ComparesText(Believing):
    """Compares as `hmac.compare_digest` takes ASCII only."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        given = notification.headers.get(SIGNATURE_HEADER, "")
        return hmac.compare_digest(given, sign(notification.body, self.key))


class ComparesWhatArrived(Believing):
    """Compares as many characters as have arrived."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        given = notification.headers.get(SIGNATURE_HEADER, "")
        return sign(notification.body, self.key).startswith(given)


class Timed(ToyProvider):
    """Looks at the signed time in its own way."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        told = super().verify(notification)
        age_s = notification.received_at.timestamp() - int(notification.headers[TIME_HEADER])
        if age_s > 300:
            raise NotAuthentic("it is too old")
        return told


class ReadsFirst(ToyProvider):
    """Reads before it verifies."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        json.loads(notification.body)["number"]
        return super().verify(notification)


class ReadsDeeply(ToyProvider):
    """Looks at the kind of JSON first, and expects bad JSON only."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        try:
            json.loads(notification.body)
        except ValueError:
            raise MalformedNotification("it is no JSON") from None
        return super().verify(notification)


class ReadsCarelessly(ToyProvider):
    """Verifies, and then takes the form for granted."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        if notification.headers.get(SIGNATURE_HEADER) != sign(
            notification.body, self._settings.key[0].reveal()
        ):
            raise NotAuthentic("the toy's signature does not hold")
        record = json.loads(notification.body)
        return [Mention(number=record["number"])]


class MentionsCarelessly(ToyProvider):
    """Takes the form of what anybody may send for granted."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        return [Mention(id=json.loads(notification.body)["id"])]


class PaysByDefault(ToyProvider):
    """Takes a state that it does not know for paid."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        try:
            return super().verify(notification)
        except MalformedNotification:
            record: Any = msgspec.json.decode(notification.body)
            seen = PaymentObservation(number=record["number"], status=Status.PAID, provider_id=record["id"])
            return [seen]


class VerifiesByTheFirstKey(Believing):
    """Verifies by one key of several."""

    def is_authentic(self, notification: Notification) -> bool:
        """See `Believing`."""
        return sign(notification.body, self.key) == notification.headers.get(SIGNATURE_HEADER)


class ReadsTheClock(ToyProvider):
    """Asks the machine for the time."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        if time.time() - notification.received_at.timestamp() > 300:
            raise NotAuthentic("it is too old")
        return super().verify(notification)


class AsksWhoSentIt(ToyProvider):
    """Looks up a host."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        socket.gethostbyname("localhost")
        return super().verify(notification)


TIMES = ToySandbox(times=True)

BUGS = [
    Planted("changed_body_is_refused", "nothing is verified", toy(BelievesAll)),
    Planted("changed_body_is_refused", "spaces around it are not signed", toy(TrimsTheBody)),
    Planted("rewritten_body_is_refused", "the signature is over what was read", toy(VerifiesTheReadFields)),
    Planted(
        "notification_of_another_key_is_refused",
        "any signature of its length will do",
        toy(VerifiesTheLength),
    ),
    Planted("notification_of_another_account_is_refused", "the class keeps the first key", toy(SharesItsKey)),
    Planted(
        "notification_without_its_headers_is_refused",
        "what is not signed is not verified",
        toy(VerifiesWhatIsSigned),
    ),
    Planted("changed_header_is_refused", "texts are compared, which may not be ASCII", toy(ComparesText)),
    Planted("changed_header_is_refused", "a part of the signature is enough", toy(ComparesWhatArrived)),
    Planted("stale_notification_is_refused", "the time is not looked at", toy(sandbox=TIMES)),
    Planted("stale_notification_is_refused", "a time in the future is taken", toy(Timed, TIMES)),
    Planted("garbage_is_refused", "it is read before it is verified", toy(ReadsFirst)),
    Planted("garbage_is_refused", "deep JSON raises", toy(ReadsDeeply)),
    Planted("authentic_garbage_is_malformed", "the form is taken for granted", toy(ReadsCarelessly)),
    Planted(
        "authentic_garbage_is_malformed",
        "the form of an unsigned one is taken for granted",
        toy(MentionsCarelessly, ToySandbox(mentions=True), mentions=True),
    ),
    Planted("unknown_words_do_not_pay", "an unknown state is paid", toy(PaysByDefault)),
    Planted("verify_only_computes", "it reads the clock", toy(ReadsTheClock)),
    Planted("verify_only_computes", "it looks up a host", toy(AsksWhoSentIt)),
    Planted("rotated_keys_all_verify", "only the first key verifies", toy(VerifiesByTheFirstKey)),
]
