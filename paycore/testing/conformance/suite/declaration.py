"""What a provider says of itself: its settings, hosts, numbers, batches and budget."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args, get_type_hints

import msgspec

from paycore.domain.payment import Status
from paycore.domain.provider import Done, Found, Lookup, NotNow, OrderRef, Secret
from paycore.engine.hosts import resolve_base_urls
from paycore.engine.orders import new_id
from paycore.errors import ConfigError, PaycoreError
from paycore.sandbox.api import UnknownOrder
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.recorded_flow import lives
from paycore.testing.conformance.rig import Rig, said

_CAPABILITIES = "capabilities"
_SETTINGS = "settings-and-secrets"

REQUESTS_MAX = 600
"""So many requests of a budget are tried: a larger one takes too long."""

BATCH_MAX = 200
"""So many numbers of a batch are asked about."""

REAL_ORDERS = 5
"""So many numbers of a batch are those of orders, where an order is found by its number."""


@check(read=_SETTINGS)
def settings_are_read_strictly(rig: Rig) -> None:
    """
    A setting that is missing, unknown or of a wrong type is a ConfigError that names it.

    The settings are a frozen struct with `forbid_unknown_fields=True`.
    """
    kind: type[msgspec.Struct] = rig.subject.provider.info.settings
    config = kind.__struct_config__
    require(
        config.frozen and config.forbid_unknown_fields,
        f"{kind.__name__} is not declared with frozen=True, forbid_unknown_fields=True",
        "declare it class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True)",
    )
    given = rig.settings
    _require_named(rig, {**given, "unknown_setting": "x"}, "unknown_setting", "a setting that does not exist")
    for field in msgspec.structs.fields(kind):
        if field.required and field.name in given:
            without = {name: value for name, value in given.items() if name != field.name}
            _require_named(rig, without, field.name, f"the setting {field.name} left out")
        if field.name in given:
            wrong = {**given, field.name: _of_another_type(given[field.name])}
            _require_named(rig, wrong, field.name, f"the setting {field.name} of a wrong type")


@check(read=_SETTINGS)
def odd_settings_are_refused_with_words(rig: Rig) -> None:
    """
    A text or secret that can't be right makes an account, or a ConfigError; nothing else is raised.

    Tried are an empty text, a space, a long one, one that is no ASCII and one with a line break.
    """
    hints = get_type_hints(rig.subject.provider.info.settings)
    for name in rig.settings:
        if not {str, Secret} & {hints.get(name), *get_args(hints.get(name))}:
            continue
        for odd in ("", " ", "x" * 10_000, "клю́ч", "key\n", "\x00"):
            try:
                rig.account_with({name: odd})
            except ConfigError:
                continue
            except PaycoreError as error:
                raise Failed(
                    f"the setting {name}, set to {_shown(odd)}: {error}",
                    "check it in __post_init__ of the settings, and raise ValueError in words, without the value",
                ) from error


@check(read=_SETTINGS)
def credentials_are_secrets(rig: Rig) -> None:
    """
    Every setting that is a credential is typed `Secret`, or `tuple[Secret, ...]`.

    That is one whose name says so (key, secret, password, token), and one that is sent as the password of an
    Authorization header.
    """
    hints = get_type_hints(rig.subject.provider.info.settings)
    plain = {
        name: value
        for name, value in rig.settings.items()
        if isinstance(value, str) and name in hints and Secret not in (hints[name], *get_args(hints[name]))
    }
    sent = {
        credential for one in lives(rig) for request in one.requests for credential in _credentials(request)
    }
    for name, hint in hints.items():
        is_text = str in (hint, *get_args(hint))
        if (is_text and _sounds_secret(name, hints)) or plain.get(name) in sent:
            raise Failed(
                f"the setting {name} is a credential, and typed {getattr(hint, '__name__', hint)}",
                f"type it {name}: Secret, and call reveal() where the header or the signature is made",
            )


@check(read=_CAPABILITIES)
def capabilities_stay_the_same(rig: Rig) -> None:
    """
    `capabilities` is the same for the lifetime of a provider, and for every provider of the same settings.

    The core reads it once, and enforces that.
    """
    first = rig.account.capabilities
    lives(rig)
    fresh = rig.account_with({}).capabilities
    for what, now in (("after it was used", rig.provider.capabilities), ("of another provider", fresh)):
        if now != first:
            named = next(
                name for name in first.__struct_fields__ if getattr(now, name) != getattr(first, name)
            )
            raise Failed(
                f"`capabilities` {what} differ in {named}",
                "make them of the settings in __init__, and return the same each time",
            )


@check(read="hosts-and-modes")
def every_mode_has_its_hosts(rig: Rig) -> None:
    """
    In each mode that has a base URL every declared host has one too: https, and a live host exactly in live mode.

    An account in that mode is otherwise refused when it is first used, in production.
    """
    info = rig.subject.provider.info
    kind: Any = rig.subject.provider
    checked = 0
    for mode in ("test", "live"):
        own: Mapping[str, str] = {}
        if hasattr(kind, "base_urls_of"):
            try:
                own = dict(kind.base_urls_of(rig.read_settings(), mode))
            except Exception as error:
                raise Failed(
                    f"base_urls_of raised {type(error).__name__} for an account in {mode} mode: {error}",
                    "return a mapping for every mode: {} where the default holds",
                ) from error
        if mode not in info.base_urls and "" not in own:
            continue
        checked += 1
        config = rig.config_of(rig.settings, mode=mode)
        try:
            resolve_base_urls(
                config.account(None),
                info,
                config.path,
                own=own,
                shown_mode="test" if mode == "test" and hasattr(kind, "mode_of") else None,
            )
        except ConfigError as error:
            raise Failed(
                f"an account in {mode} mode can't be used: {error.message.partition(': ')[2]}",
                "give every host a URL in every mode that has one, and list the live ones in live_hosts",
            ) from error
    if not checked:
        raise NotApplicable("it has a URL in no mode: accounts bring their own")


@check(read=_CAPABILITIES)
def numbers_as_declared_are_taken(rig: Rig) -> None:
    """
    Numbers of the declared length, of all the declared characters, make orders that are found again as they are.

    The same for a refund's number, where a product refunds.
    """
    for number in _numbers(rig):
        product = rig.products[0]
        order = msgspec.structs.replace(rig.create_order(product), number=number)
        advice = "declare the length and the characters that the company takes, and quote a number in a path"
        try:
            placed = rig.placed(product, order, rig.converse(lambda: rig.provider.create(order)))  # noqa: B023
            if rig.account.capabilities.lookup is Lookup.BY_NUMBER:
                rig.look(placed)
            rig.controls.show_order(number)
        except Failed as failed:
            raise Failed(f"number {number!r}: {failed.problem}", advice) from failed
        except UnknownOrder as error:
            raise Failed(f"number {number!r} is another at the gateway: {error}", advice) from error
        require(placed.seen.number == number, f"{number!r} is told as {placed.seen.number!r}", advice)
    _refund_numbers(rig)


@check(read=_CAPABILITIES)
def batch_is_answered_in_one_query(rig: Rig) -> None:
    """
    A query of `query_batch_max` numbers tells of each of them, in no more requests than one number takes.

    A few pages aside. Where orders are found by number, most of the numbers are of no order: those are absent, or
    undecided, and in no observation.
    """
    size = min(rig.account.capabilities.query_batch_max, BATCH_MAX)
    if size == 1:
        raise NotApplicable("a query asks about one order at a time")
    is_by_number = rig.account.capabilities.lookup is Lookup.BY_NUMBER
    placed = [rig.place(rig.products[0]) for _ in range(min(size, REAL_ORDERS) if is_by_number else size)]
    rig.advance(1.0)
    real = [one.ref(rig.attempt()) for one in placed]
    others = [
        msgspec.structs.replace(real[0], number=new_id(), provider_id=None, ids={}) for _ in range(size)
    ]
    refs = [*real, *others][:size]
    alone = _requests(rig, real[:1], real[:1])
    count = _requests(rig, refs, real)
    require(
        count <= max(2 * alone, size // 20),
        f"a query of {size} numbers took {count} requests, and one of one number {alone}",
        "declare as query_batch_max how many numbers one request of the company's query takes; 1 where it is one",
    )


@check(read=_CAPABILITIES)
def gateway_takes_the_declared_rate(rig: Rig) -> None:
    """
    The gateway takes as many requests in a second and in a minute as the budget declares.

    At most 600 are tried. The core sends no more than the budget, and rests when the company refuses one.
    """
    placed = rig.place(rig.products[0])
    budget = rig.account.capabilities.budget
    rig.advance(61.0)
    rig.proxy.clear()
    total = min(budget.per_minute, REQUESTS_MAX)
    rig.is_paced = False
    while len(rig.proxy.exchanges) < total:
        before = len(rig.proxy.exchanges)
        outcome: Any = rig.converse(lambda: rig.provider.query([placed.ref(rig.attempt())]))
        if len(rig.proxy.exchanges) == before:  # nothing to ask about before the payer has come
            outcome = rig.converse(lambda: rig.provider.create(rig.create_order(rig.products[0])))
        sent = len(rig.proxy.exchanges)
        statuses = [one.status for one in rig.proxy.exchanges[before:]]
        require(
            429 not in statuses and not isinstance(outcome, NotNow),
            f"request {sent} of {budget.per_second} a second and {budget.per_minute} a minute was refused:"
            f" {said(outcome)}",
            "declare a budget that the company takes: the manual's figures",
        )
        if sent == before:
            raise NotApplicable("neither a query nor a create sends a request")
        if sent // budget.per_second > before // budget.per_second:
            rig.advance(1.0)


# --- settings ---------------------------------------------------------------------------------------------------


def _require_named(rig: Rig, settings: Mapping[str, Any], name: str, what: str) -> None:
    advice = (
        "give every setting its type, and let paycore read them; raise ValueError in words in __post_init__"
    )
    try:
        rig.account_of(settings)
    except ConfigError as error:
        require(name in error.message, f"{what}: the error does not name it: {error.message}", advice)
    except PaycoreError as error:
        raise Failed(f"{what}: {error}", advice) from error
    else:
        raise Failed(f"{what} was taken", advice)


def _of_another_type(value: Any) -> Any:
    """A value that no setting of this one's type can have."""
    return {"a": {"table": 1}} if isinstance(value, str | list | tuple) else "a text"


_SECRET_WORDS = frozenset(
    {"key", "keys", "secret", "secrets", "password", "passphrase", "passkey", "token", "pin"}
)
_PUBLIC_WORDS = frozenset({"public", "publishable", "client", "site"})
"""Keys of these names are shown to browsers."""


def _sounds_secret(name: str, names: Collection[str]) -> bool:
    """Whether a setting is a secret by its name; a key beside a secret of the same name is an identifier."""
    words = name.lower().split("_")
    is_identifier = bool(_PUBLIC_WORDS & set(words)) or f"{'_'.join(words[:-1])}_secret" in names
    return words[-1] in _SECRET_WORDS and not is_identifier


def _credentials(request: Any) -> Iterator[str]:
    """What authenticates in the request's Authorization header."""
    for name, value in request.headers.items():
        scheme, _, credential = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            yield credential
        if name.lower() == "authorization" and scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credential).decode().partition(":")
                yield password or user  # some companies take a key in the place of a user
            except (binascii.Error, ValueError):
                continue


def _shown(text: str) -> str:
    return repr(text) if len(text) < 40 else f"a text of {len(text)} characters"


# --- numbers ----------------------------------------------------------------------------------------------------


def _numbers(rig: Rig) -> Iterator[str]:
    """Numbers of the declared length that have every declared character between them, each with a part of its own."""
    declared = rig.account.capabilities.number
    own, length = new_id(), declared.length_max
    characters = "".join(sorted(declared.characters))
    room = max(1, length - len(own))
    for place in range(math.ceil(len(characters) / room)):
        part = characters[place * room : (place + 1) * room]
        own = new_id()
        filled = (part * math.ceil(length / len(part)))[: length - len(own)]
        yield f"{filled}{own}" if length > len(own) else own
        if length <= len(own):
            return


def _refund_numbers(rig: Rig) -> None:
    product = next((one for one in rig.products if one.refund != "none"), None)
    if product is None:
        return
    placed = rig.place(product)
    if rig.pay(placed).status is Status.AUTHORIZED:
        rig.capture(placed, placed.order.amount.minor)
        rig.look(placed)
    if placed.seen.status is not Status.PAID:
        return
    number = next(_numbers(rig))
    refund = rig.refund_order(placed, placed.order.amount.minor, number)
    outcome = rig.converse(lambda: rig.provider.refund(refund))
    require(
        isinstance(outcome, Done) and outcome.value.number == number,
        f"a refund with the number {number!r} returned {said(outcome)}",
        "declare the length and the characters that the company takes for refunds too",
    )


# --- batches ----------------------------------------------------------------------------------------------------


def _requests(rig: Rig, refs: list[OrderRef], real: list[OrderRef]) -> int:
    """How many requests a query of these took; `Failed` where it does not tell of each."""
    rig.proxy.clear()
    outcome = rig.converse(lambda: rig.provider.query(refs))
    advice = "ask about as many numbers as one request takes, and read all its pages; put what is open into `undecided`"
    if not (isinstance(outcome, Done) and isinstance(outcome.value, Found)):
        raise Failed(f"a query of {len(refs)} numbers returned {said(outcome)}", advice)
    told = {one.number for one in outcome.value.observations}
    missing = {ref.number for ref in real} - told
    require(
        not missing, f"a query of {len(refs)} numbers does not tell of {len(missing)} of the orders", advice
    )
    foreign = told - {ref.number for ref in real}
    require(not foreign, f"a query tells of {len(foreign)} orders that were never made", advice)
    return len(rig.proxy.exchanges)
