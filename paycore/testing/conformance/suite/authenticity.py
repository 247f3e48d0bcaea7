"""What is not the company's own is refused, whatever it says."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote

from paycore.errors import ConfigError, NotificationError, PluginError
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.arrivals import (
    OTHERS_S,
    Genuine,
    Verified,
    as_given,
    forged,
    genuine,
    is_paid,
    payable,
    saying_paid,
    verified,
)
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.notification_receiver import ReceivedNotification
from paycore.testing.conformance.other_bodies import (
    garbage,
    other_values,
    rewritten,
    shows_time,
    with_leaves_replaced,
    with_words_replaced,
)
from paycore.testing.conformance.purity import Watched
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.secret_settings import other_secrets, secret_names, with_rotated

GUIDE = "notifications"

CHANGES_MAX = 1_500
"""So many places of a body are changed; of longer bodies they are spread evenly."""

FIRST = "verify the signature over the raw bytes first, and read them only then"


@check(read=GUIDE)
def changed_body_is_refused(rig: Rig) -> None:
    """
    A notification of which any byte was changed is refused, or says what the genuine one says, or is only a mention.

    Each byte is changed, one at a time; the body is cut and made longer.
    """
    found = genuine(rig, signed=True)
    body = found.received.body
    step = max(1, len(body) // CHANGES_MAX)
    for at in range(0, len(body), step):
        for bit in (0x01, 0x20):
            changed = bytes([*body[:at], body[at] ^ bit, *body[at + 1 :]])
            told = verified(rig, found.received, f"a body whose byte {at} was changed", body=changed)
            _refused(found, told, f"a body whose byte {at} was changed is taken", rig)
    for what, changed in (
        ("without its last byte", body[:-1]),
        ("cut in half", body[: len(body) // 2]),
        ("with a line feed at its end", body + b"\n"),
        ("sent twice in one", body + body),
    ):
        told = verified(rig, found.received, f"a body {what}", body=changed)
        _refused(found, told, f"a body {what} is taken", rig)


@check(read=GUIDE)
def rewritten_body_is_refused(rig: Rig) -> None:
    """
    A body that says the same in other bytes is refused where the bytes are signed.

    JSON with other spaces, order of keys or escapes, a form encoded otherwise. Where the signature is inside, over
    what the fields say, it may be taken: then it says what the genuine one says.
    """
    found = genuine(rig, signed=True)
    bodies = [(what, body) for what, body in rewritten(found.received.body) if body != found.received.body]
    if not bodies:
        raise NotApplicable("the body is neither JSON nor a form")
    for what, body in bodies:
        told = verified(rig, found.received, f"the body {what}", body=body)
        _refused(found, told, f"the body {what} is taken", rig)


@check(read=GUIDE)
def notification_of_another_key_is_refused(rig: Rig) -> None:
    """A notification that the sandbox signs with a key that is not the account's is refused, or only a mention."""
    found = genuine(rig, signed=True)
    told = []
    for received in forged(rig, found.placed):
        told.append(verified(rig, received, "a notification signed with another key"))
        if told[-1].is_refused:
            return
    if not told:
        raise NotApplicable("the sandbox has sent no forged notification")
    raise Failed(
        f"a notification signed with another key is taken: {', '.join(one.words for one in told)}",
        "compare the signature that arrived with the one that the account's key makes, by hmac.compare_digest",
    )


@check(read=GUIDE)
def notification_of_another_account_is_refused(rig: Rig) -> None:
    """A notification of one account is refused by an account with other secrets, or is only a mention there."""
    found = genuine(rig, signed=True)
    others = other_secrets(rig)
    try:
        other = rig.account_with(others).full
    except (ConfigError, PluginError) as error:
        raise NotApplicable(f"no other secrets of the same form can be made up: {error}") from None
    told = verified(rig, found.received, "a notification of another account", provider=other)
    if told.is_refused or (told.is_hint and not found.is_signed_outside(rig.provider)):
        return
    if hasattr(rig.provider, "open_session") or _has_public_key(rig):
        raise NotApplicable("what verifies its notifications is no secret of the account")
    raise Failed(
        f"a provider made with other secrets takes the notification: {told.words}",
        "verify with the secrets of the settings that this object was made of, and keep none on the class",
    )


@check(read=GUIDE)
def notification_without_its_headers_is_refused(rig: Rig) -> None:
    """
    A notification without a header or the query string that signs it is refused.

    Each one alone is left out, then all.
    """
    found = genuine(rig)
    if not found.is_signed_outside(rig.provider):
        raise NotApplicable("nothing beside the body signs its notifications")
    heads, received = found.heads(rig.provider), found.received
    for name in sorted(heads):
        rest = {other: value for other, value in heads.items() if other != name}
        told = verified(rig, received, f"a notification without the header {name}", headers=rest)
        require(
            told.is_refused or told.notices == found.verified.notices or told.is_hint,
            f"without the header {name} a notification says something else: {told.words}",
            FIRST,
        )
    told = verified(rig, received, "a notification without its headers", headers={}, query="")
    require(
        told.is_refused,
        f"a notification without the headers that sign it ({', '.join(sorted(heads))}) is taken: {told.words}",
        "raise NotAuthentic where the signature is missing",
    )


@check(read=GUIDE)
def changed_header_is_refused(rig: Rig) -> None:
    """
    A notification with another signature is refused, and nothing else is raised, whatever the header holds.

    Empty, random, very long and not ASCII; of the right length and of half of it.
    """
    found = genuine(rig)
    if not found.is_signed_outside(rig.provider):
        raise NotApplicable("nothing beside the body signs its notifications")
    heads, received = found.heads(rig.provider), found.received
    for name, value in sorted(heads.items()):
        for what, other in other_values(value):
            words = f"a header {name} that is {what}"
            told = verified(rig, received, words, headers={**heads, name: other})
            require(
                told.is_refused or told.notices == found.verified.notices,
                f"{words} makes a notification say something else: {told.words}",
                FIRST,
            )
    for what in ("", "0", "\N{LATIN SMALL LETTER E WITH ACUTE}", "=,;" * 50):
        told = verified(
            rig,
            received,
            f"headers that all are {what[:3]!a}",
            headers=dict.fromkeys(heads, what),
            query=quote(what) if received.query else "",
        )
        require(
            told.is_refused,
            f"a notification whose headers all are {what[:3]!a} is taken: {told.words}",
            "raise NotAuthentic unless the signature is that of the body",
        )


@check(read=GUIDE)
def stale_notification_is_refused(rig: Rig) -> None:
    """
    Where the time of signing is among the signed headers, a notification of another day is refused: past and future.

    A copy that somebody kept is authentic for ever otherwise.
    """
    found = genuine(rig, signed=True)
    if not shows_time(found.heads(rig.provider).values(), rig.now()):
        raise NotApplicable("no header shows when a notification was signed")
    for what, days in (("a day ago", 1), ("a day from now", -1)):
        told = verified(
            rig, found.received, f"a notification signed {what}", at=rig.now() + timedelta(days=days)
        )
        require(
            told.is_refused,
            f"a notification that was signed {what} is taken: {told.words}",
            "compare the signed time with notification.received_at, with a few minutes of tolerance both ways",
        )


@check(read=GUIDE)
def garbage_is_refused(rig: Rig) -> None:
    """
    Whatever else arrives is refused, or says nothing: nothing but the two errors is raised.

    An empty body, a megabyte, random bytes, other encodings, deep and hostile JSON; with the genuine headers and
    without.
    """
    found = genuine(rig)
    for what, body in garbage(found.received.body):
        for headers in (found.received.headers, {}):
            told = verified(rig, found.received, what, body=body, headers=headers)
            require(
                told.is_hint,
                f"{what} is taken as {told.words}",
                FIRST if found.is_signed_outside(rig.provider) else "return a Mention for what is not signed",
            )


@check(read=GUIDE)
def authentic_garbage_is_malformed(rig: Rig) -> None:
    """
    What is authentic and can't be read is refused as malformed, or says nothing, and never that money was taken.

    The sandbox signs what the company would not send: hostile JSON, and its own notification with a field missing or
    of another type.
    """
    found = genuine(rig)
    for what, body in garbage(found.received.body):
        told = _signed(rig, found, body, what)
        require(
            told.is_hint,
            f"{what}, authentically signed, is taken as {told.words}",
            "raise MalformedNotification for what has not the documented form",
        )
    for what, body in with_leaves_replaced(found.received.body):
        _signed(rig, found, body, what)


@check(read=GUIDE)
def unknown_words_do_not_pay(rig: Rig) -> None:
    """
    An authentic notification whose words are not known does not say that money was taken.

    Companies add states and kinds of events. Every word in it that is not a number, an id or an amount is replaced;
    then only those that differ where an order is declined or has expired.
    """
    found = saying_paid(rig, genuine(rig))
    placed, body = found.placed, found.received.body
    kept = {placed.order.number, placed.order.amount.currency, placed.seen.provider_id, *placed.ids.values()}
    other = _of_an_unpaid_order(rig)
    for what, only in (("every word", None), ("the words for its state", other)):
        changed = with_words_replaced(body, {str(one).lower() for one in kept}, only)
        if changed == body or (only is None and what != "every word"):
            continue
        told = _signed(rig, found, changed, f"a notification with {what} unknown")
        require(
            not is_paid(told.notices),
            f"a notification of which {what} is unknown says that the order is paid",
            "report paid for the documented words only; return a Mention for any other",
        )


@check(read="what-a-provider-never-does")
def verify_only_computes(rig: Rig) -> None:
    """
    `verify` does nothing but compute: it takes the time from `received_at`, and asks nobody.

    It is called in the web server of the application, for whatever anybody sends.
    """
    found = genuine(rig)
    watched = Watched()
    for body in (found.received.body, found.received.body + b" ", b""):
        given = as_given(
            rig, ReceivedNotification(body=body, headers=found.received.headers, query=found.received.query)
        )
        with suppress(NotificationError):
            watched.call(lambda: rig.provider.verify(given))  # noqa: B023 - called at once
    seen = dict.fromkeys(f"{one.place} {one.what}" for one in watched.impurities)
    require(
        not seen,
        "; ".join(seen),
        "compare times with notification.received_at; where only a call could verify it, return a Mention",
    )


@check(read="settings-and-secrets")
def rotated_keys_all_verify(rig: Rig) -> None:
    """Where a setting holds several secrets, what any of them signs is authentic."""
    found = genuine(rig, signed=True)
    names = secret_names(rig, several=True)
    if not names:
        raise NotApplicable("no setting holds several secrets")
    for name in names:
        for what, is_first in (("second", True), ("first", False)):
            provider = rig.account_with(with_rotated(rig, name, is_new_first=is_first)).full
            told = verified(rig, found.received, f"a key that is the {what} of {name}", provider=provider)
            require(
                not told.is_refused,
                f"a notification is refused while the key that signed it is the {what} of {name}",
                "try every secret of the setting, and compare in constant time",
            )


# --- inside ------------------------------------------------------------------------------------


def _refused(found: Genuine, told: Verified, problem: str, rig: Rig) -> None:
    """
    `Failed` unless it was refused or is a mention.

    Where the signature is inside, over some fields: unless it says the same, or is no evidence by itself.
    """
    is_evidence = rig.account.capabilities.notifications_trusted
    is_let_be = told.notices == found.verified.notices or not is_evidence
    holds = told.is_hint or (is_let_be and not found.is_signed_outside(rig.provider))
    require(holds, f"{problem}: {told.words}", FIRST)


def _signed(rig: Rig, found: Genuine, body: bytes, what: str) -> Verified:
    """What `verify` makes of this body when the company signs it; `NotApplicable` where the sandbox can't."""
    sign = getattr(rig.gateway, "sign_notification", None)
    if sign is None and (found.is_signed_outside(rig.provider) or not found.is_hint):
        raise NotApplicable("the sandbox can't sign another body: its gateway has no sign_notification")
    given = {} if sign is None else {name.lower(): value for name, value in sign(body).items()}
    headers = {**found.received.headers, **given}
    return verified(rig, found.received, f"{what}, authentically signed", body=body, headers=headers)


def _of_an_unpaid_order(rig: Rig) -> bytes | None:
    """The notification of an order that was declined or has expired; None where there is none."""
    count = len(rig.receiver.first(0, 0.0))
    with suppress(NotPossible):
        rig.controls.decline(rig.place(payable(rig)).order.number)
    arrived = rig.receiver.first(count + 1, OTHERS_S)[count:]
    return arrived[0].body if arrived else None


def _has_public_key(rig: Rig) -> bool:
    """Whether a setting that is no secret looks like a key that verifies."""
    hidden = secret_names(rig)
    texts = [value for name, value in rig.settings.items() if name not in hidden and isinstance(value, str)]
    return any("-----BEGIN" in text or len(text) >= 100 for text in texts)
