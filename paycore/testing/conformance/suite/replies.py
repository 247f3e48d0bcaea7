"""Good replies that are a little different: what must be noticed in them, and what must not matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paycore.domain.money import Money
from paycore.domain.observation import Observation, PaymentObservation
from paycore.domain.payment import RefundStatus, Status
from paycore.domain.provider import Done, Rejected
from paycore.domain.wire import Response
from paycore.errors import ConfigError
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.claims import claims_of, observed_in
from paycore.testing.conformance.hostile import NO_TREE, tree_in, with_tree
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.recorded_flow import RecordedFlow, record
from paycore.testing.conformance.replays import Heard, told_otherwise
from paycore.testing.conformance.rewording import (
    state_keys,
    with_new_fields,
    with_other_amounts,
    with_unknown_words,
)
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import asked, each_flow

OUTCOMES = "what-an-outcome-says-about-the-money"
NO_CHANGE = (" pending",)


@check(read=OUTCOMES)
def unknown_word_is_no_state(rig: Rig) -> None:
    """
    A word that the company has not documented says nothing: never paid, never refused, never failed or closed.

    The words of the fields that tell a state are replaced in each reply, and those that differ between the query of an
    unpaid and of a paid order. Companies add states without notice: the order stays pending, undecided or `Unknown`.
    """
    tried = 0
    for recorded, place, reply, before, keys in _replies_with_states(rig):
        assert recorded.amount is not None
        altered_replies = with_unknown_words(reply, recorded.amount, rig.sign, keys=keys, before=before)
        for words, altered in altered_replies:
            tried += 1
            heard = told_otherwise(rig, recorded, place, f"one {words}", altered)
            at = f"{recorded.about}: the reply came {words}, and the flow returned {said(heard.outcome)}"
            require(
                heard.went_on or not isinstance(heard.outcome, Rejected),
                at,
                "return Rejected only for a code that the company documents as a refusal",
            )
            claims = {one for one in claims_of(heard.outcome) if not one.endswith(NO_CHANGE)}
            require(
                heard.went_on or not claims,
                at,
                "map each documented word, and let every other one be pending, undecided or Unknown",
            )
    if not tried:
        raise NotApplicable("no reply has a field that tells a state by a word")


@check(read=OUTCOMES)
def new_field_changes_nothing(rig: Rig) -> None:
    """
    A reply with further fields says what it said without them, for each request of each flow.

    Companies add fields without a new version of their API.
    """
    for recorded in each_flow(rig):
        for place in recorded.places:
            reply = with_new_fields(recorded.responses[place], rig.sign)
            if reply is None:
                continue
            _require_alterable(rig, recorded, place)
            heard = told_otherwise(rig, recorded, place, "one with new fields", reply)
            require(
                type(heard.outcome) is type(recorded.outcome) and claims_of(heard.outcome) == recorded.claims,
                f"{recorded.about}: {said(recorded.outcome)}; with new fields in the reply:"
                f" {said(heard.outcome)}",
                "ignore fields that you do not know: no forbid_unknown_fields for what is received",
            )


@check(read="observations")
def other_amount_is_noticed(rig: Rig) -> None:
    """
    A reply with another amount, another currency, or half of either, never says that the order's amount was paid.

    The observation has the amount of the reply, or the half that was told (`read_amount`), so that the core compares
    it; or the reply is `Unknown`. The same for captures and refunds.
    """
    tried = 0
    for recorded in each_flow(rig):
        if recorded.amount is None:
            continue
        for place in recorded.places:
            replies = list(with_other_amounts(recorded.responses[place], recorded.amount, rig.sign))
            if replies:
                _require_alterable(rig, recorded, place)
            for words, reply in replies:
                tried += 1
                heard = told_otherwise(rig, recorded, place, words, reply)
                _require_noticed(recorded, words, heard, recorded.amount)
    if not tried:
        raise NotApplicable("no reply has the amount of the order")


@check(read=OUTCOMES)
def reply_about_another_create_is_not_taken(rig: Rig) -> None:
    """
    A reply to `create` that tells of another number makes no order: its id would be another payment's.

    Where the reply has our number. Connections that are shared by mistake cross replies.
    """
    product = rig.waiting_product()
    theirs = rig.create_order(product)
    reply = record(rig, "create of an order", lambda: rig.provider.create(theirs)).responses
    if not any(theirs.number.encode() in response.body for response in reply):
        raise NotApplicable("the reply to create does not have our number")
    ours, given = rig.create_order(product), iter([*reply, *reply[-1:] * 9])
    outcome = rig.converse(lambda: rig.provider.create(ours), lambda _: next(given))
    require(
        not any(seen.number == ours.number for seen in observed_in(outcome)),
        f"the reply was about another number, and create returned {said(outcome)} for its own",
        "compare the number in the reply with order.number, and return Unknown where it is another",
    )


@check(read=OUTCOMES)
def wrong_credentials_are_the_operators(rig: Rig) -> None:
    """
    A request that is signed with wrong credentials is `Rejected` with `who_acts="operator"`.

    The caller gets `AccountRefused`, and the payment stays `created` until the account is mended. The sandbox refuses
    them as the company does.
    """
    account = _with_wrong_secrets(rig)
    provider, attempt = account.provider, account.attempt(rig.now(), "N" * 26)
    if hasattr(provider, "open_session"):
        outcome: Any = rig.converse(lambda: provider.open_session(attempt))
        what = "open_session"
    else:
        order = rig.create_order(rig.waiting_product())
        if _first_request(rig.provider.create(order)) == _first_request(provider.create(order)):
            raise NotApplicable("no secret of the account is in its requests")
        outcome = rig.converse(lambda: provider.create(order))
        what = "create"
    require(
        not isinstance(outcome, Done),
        f"{what} with wrong credentials returned {said(outcome)}",
        "let the sandbox verify what authenticates a request, as the company does",
    )
    require(
        isinstance(outcome, Rejected) and outcome.failure.who_acts == "operator",
        f"{what} with wrong credentials returned {said(outcome)}"
        + (f", who_acts={outcome.failure.who_acts!r}" if isinstance(outcome, Rejected) else ""),
        'return Rejected(failure=Failure(..., who_acts="operator")) for what is wrong with the account',
    )


# --- inside ------------------------------------------------------------------------------------------


def _replies_with_states(
    rig: Rig,
) -> Iterator[tuple[RecordedFlow, int, Response, Response | None, frozenset[str]]]:
    """Replies about an order or a refund, with that to the same question before the payer paid, and what tells it."""
    placed = rig.place(rig.waiting_product())
    unpaid = asked(rig, placed, "an unpaid order")
    rig.pay(placed)
    paid = asked(rig, placed, "a paid order")
    keys: frozenset[str] = frozenset()
    for place, (before, after) in enumerate(zip(unpaid.responses, paid.responses, strict=False)):
        _require_alterable(rig, paid, place)
        keys |= state_keys(before, after, placed.order.amount)
        yield paid, place, after, before, keys
    for recorded in each_flow(rig):
        for place in recorded.places if recorded.amount is not None else ():
            _require_alterable(rig, recorded, place)
            yield recorded, place, recorded.responses[place], None, keys


def _require_alterable(rig: Rig, recorded: RecordedFlow, place: int) -> None:
    """`NotApplicable` where a reply that is only written again, with the same content, is not believed."""
    good = recorded.responses[place]
    tree = tree_in(good)
    if tree is NO_TREE:
        return
    heard = told_otherwise(rig, recorded, place, "the same", with_tree(good, tree, rig.sign))
    if not isinstance(heard.outcome, Done) or claims_of(heard.outcome) != recorded.claims:
        raise NotApplicable(
            "replies are authentic as they are written only; give the gateway sign_reply, so that they can be altered"
        )


def _require_noticed(recorded: RecordedFlow, words: str, heard: Heard, amount: Money) -> None:
    if heard.went_on:
        return
    for seen in observed_in(heard.outcome):
        is_success = seen.status in (Status.PAID, Status.AUTHORIZED, RefundStatus.SUCCEEDED)
        require(
            not is_success or seen.is_signed_wrong or _tells_another(seen, amount),
            f"{recorded.about}: the reply was {words} ({amount}), and the flow returned {seen.status} of"
            f" {seen.amount or seen.partial_amount or 'no amount'}",
            "give the amount of the reply, and never the order's own: amount, partial_amount ="
            " read_amount(minor, currency)",
        )


def _tells_another(seen: Observation, amount: Money) -> bool:
    partial = seen.partial_amount
    if seen.amount is not None and seen.amount != amount:
        return True
    if partial is not None and (partial.unreadable is not None or partial.contradicts(amount)):
        return True
    return isinstance(seen, PaymentObservation) and seen.paid_minor not in (None, amount.minor)


def _with_wrong_secrets(rig: Rig) -> Any:
    """The account with each of its secrets a little different."""
    secrets = {secret.reveal() for secret in rig.account.secrets}
    settings = {name: _altered(value, secrets) for name, value in rig.settings.items()}
    if settings == rig.settings:
        raise NotApplicable("the account has no secret")
    try:
        return rig.account_with(settings)
    except ConfigError as error:
        raise NotApplicable(f"other credentials of the same form can't be made up: {error}") from None


def _altered(value: Any, wanted: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _altered(one, wanted) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_altered(one, wanted) for one in value]
    if value not in wanted:
        return value
    at = max(index for index, letter in enumerate(value[:-2] or value) if letter.isalnum())
    return value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]


def _first_request(flow: Any) -> Any:
    try:
        return next(flow)
    except StopIteration:
        return None
    finally:
        flow.close()
