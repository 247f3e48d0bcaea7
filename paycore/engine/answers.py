"""
What a plugin returns: read as the ledger will read it, and counted only where it answers what was asked.

What can't be read back, or has a secret where none can be masked, is a `PluginError`. An answer about another number
counts as none, and so does an authorization where no capture is declared. An accepted order without the action its
payer needs is `Unknown`: the order exists, but nobody can pay it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import msgspec

from paycore.domain.action import Action, ClientCall, Redirect
from paycore.domain.bounds import ID_MAX
from paycore.domain.codec import decode, encode
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Operation, OperationKind, Order, Payment, Status
from paycore.domain.provider import (
    RETRY_AFTER_MAX_S,
    Capabilities,
    Created,
    Done,
    Found,
    Lookup,
    Mention,
    Notice,
    NotNow,
    OrderRef,
    Page,
    Rejected,
    Secret,
    Unknown,
)
from paycore.domain.safe_text import name_problem, printable, url_problem
from paycore.domain.wire import Flow
from paycore.engine.accounts import Account
from paycore.engine.contract import SAID_MAX, Asked, ask, misused
from paycore.engine.orders import flow_of
from paycore.engine.secrecy import Secrets, holds_secret, is_harmless, mask, masked
from paycore.engine.wording import one_line

T = TypeVar("T")

_log = logging.getLogger(__name__)

TOLD_MAX = 64 * 1024
"""Bytes of what a plugin tells of one order, as they would be recorded."""

IDS_MAX = 20
"""Further ids, by name, in one observation."""

OBSERVATIONS_MAX = 10_000
"""Observations in one answer: a hundred of each order that can be asked about at once, and more."""

NOTICES_MAX = 1000
"""What one notification tells, in observations and mentions: it is recorded in one transaction."""


# --- read: it can be recorded, and has no secret in it ---------------------------------------------------


def reading(account: Asked, begin: Callable[[], Flow[Any]], told: type[msgspec.Struct]) -> Flow[Any]:
    """
    The flow that `begin` makes, its outcome checked and with secrets masked; `told` is what a `Done` of it holds.

    `PluginError` when it is none, or can't be recorded. An order whose link must not be shown is `Unknown`
    with its observation: the order is there, what the payer needs is not.
    """
    outcome: object = yield from begin()
    if isinstance(outcome, Done):
        value, is_clean = _read(account, "flow", outcome.value, told)
        value = _with_safe_steps(account, value, () if is_clean else account.secrets)
        kept = _with_usable_ids(account, value)
        return kept or _with_safe_action(account, value, () if is_clean else account.secrets)
    if isinstance(outcome, Rejected | NotNow | Unknown):
        read, is_clean = _read(account, "flow", _in_bounds(outcome), type(outcome))
        read = _with_safe_steps(account, read, () if is_clean else account.secrets)
        return _with_usable_ids(account, read) or read
    raise misused(account, "flow", f"it returned {type(outcome).__name__} where an outcome belongs")


def _in_bounds(outcome: Rejected | NotNow | Unknown) -> Rejected | NotNow | Unknown:
    """A time to wait that the provider made up is no reason to doubt that nothing moved."""
    if not isinstance(outcome, NotNow) or not isinstance(outcome.retry_after_s, int | float):
        return outcome
    retry_after_s = min(max(0.0, outcome.retry_after_s), RETRY_AFTER_MAX_S)  # 0 for a NaN
    return msgspec.structs.replace(outcome, retry_after_s=retry_after_s)


class _Notices(msgspec.Struct, frozen=True, kw_only=True):
    told: tuple[Notice, ...]


def read_told(account: Asked, told: Sequence[Notice]) -> tuple[Notice, ...]:
    """What a notification says, checked and with secrets masked."""
    notice = ask(account, "verify", lambda: _Notices(told=tuple(islice(told, NOTICES_MAX + 1))))
    read, is_clean = _read(account, "verify", notice, _Notices)
    read = _with_safe_steps(account, read, () if is_clean else account.secrets)
    return tuple(_usable(item) for item in read.told if not _is_odd_mention(item))


def _usable(item: Notice) -> Notice:
    return item if isinstance(item, Mention) or _odd_id(item) is None else Mention(number=item.number)


def _is_odd_mention(item: Notice) -> bool:
    """Whether it names an order by an id that none can have; whoever sends an unsigned one can write anything."""
    return isinstance(item, Mention) and item.id is not None and _id_problem(item.id) is not None


def _read(account: Asked, stage: str, value: object, kind: type[T]) -> tuple[T, bool]:
    """`value` as it would be read back once it is recorded, with secrets masked; and whether there was none to mask."""
    try:
        read, is_clean = _read_back(value, kind, account.secrets)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's value does when it is looked at
        words = re.sub(r"'.*'", "'...'", str(error), flags=re.DOTALL)
        problem = one_line(mask(words, account.secrets), SAID_MAX)
    else:
        if is_clean:
            return read, True
        kept = masked(read, account.secrets)
        if not holds_secret(_without_actions(kept), account.secrets):
            return kept, False
        problem = "an id or a number in it has a secret of the account in it"
    raise misused(account, stage, f"what it returned can't be recorded: {problem}")


def _with_usable_ids(account: Asked, told: object) -> Done[Found] | Done[Page] | Unknown | None:
    """
    What is left of an answer with an id that nobody could write down, or tell from another; None without one.

    An observation with such an id counts for nothing, and nothing is concluded from it: its number stays undecided.
    """
    odd = {seen.number: problem for seen in _observations(told) if (problem := _odd_id(seen)) is not None}
    if not odd:
        return None
    number, problem = next(iter(odd.items()))
    if not isinstance(told, Found | Page):
        words = f"{told.problem}; " if isinstance(told, Unknown) else ""
        return Unknown(problem=f"{words}the provider's id in the answer {problem}")
    _log.warning(
        "account %s: what the provider says of %d of its orders is not taken; of number %s its id %s",
        account.name,
        len(odd),
        printable(number),
        problem,
    )
    if isinstance(told, Page):
        items = tuple(item for item in told.items if _odd_id(item.observation) is None)
        return Done(msgspec.structs.replace(told, items=items))
    kept = tuple(seen for seen in told.observations if seen.number not in odd)
    return Done(msgspec.structs.replace(told, observations=kept, undecided=told.undecided | odd.keys()))


def _odd_id(seen: Observation) -> str | None:
    """Why an id of the provider's in it can't be used, None when all can."""
    problem = None if seen.provider_id is None else _id_problem(seen.provider_id)
    if problem is not None or not seen.ids:
        return problem
    if len(seen.ids) > IDS_MAX:
        return f"is one of more than {IDS_MAX}"
    return next((odd for pair in seen.ids.items() for text in pair if (odd := _id_problem(text))), None)


def _id_problem(text: str) -> str | None:
    if not text:
        return "is empty"
    return f"is longer than {ID_MAX} characters" if len(text) > ID_MAX else name_problem(text)


def _without_actions(told: object) -> object:
    """What is told of orders: what the payer needs is judged by itself, and may be left out."""
    bare = _each_observation(told, _without_action)
    return msgspec.structs.replace(bare, action=None) if isinstance(bare, Created) else bare


def _without_action(seen: Observation) -> Observation:
    return msgspec.structs.replace(seen, action=None) if isinstance(seen, PaymentObservation) else seen


def _each_observation(told: Any, change: Callable[[Observation], Observation]) -> Any:
    """A plugin's value with each of its observations changed."""
    match told:
        case Found(observations=observations):
            return msgspec.structs.replace(told, observations=tuple(map(change, observations)))
        case _Notices(told=items):
            changed = tuple(item if isinstance(item, Mention) else change(item) for item in items)
            return msgspec.structs.replace(told, told=changed)
        case Page(items=items):
            listed = (msgspec.structs.replace(item, observation=change(item.observation)) for item in items)
            return msgspec.structs.replace(told, items=tuple(listed))
        case Created(observation=seen) | Unknown(observation=seen) if seen is not None:
            return msgspec.structs.replace(told, observation=change(seen))
        case PaymentObservation() | RefundObservation():
            return change(told)
        case _:
            return told


def _read_back(value: object, kind: type[T], secrets: Secrets) -> tuple[T, bool]:
    if not isinstance(value, kind):
        raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    written = encode(value)
    read, is_clean = decode(written, kind), is_harmless(written, secrets)
    observations = _observations(read)
    if len(written) > TOLD_MAX * max(1, len(observations)):
        raise ValueError(f"Expected at most {TOLD_MAX} bytes, got {len(written)}")
    if len(observations) > OBSERVATIONS_MAX:
        raise ValueError(f"Expected at most {OBSERVATIONS_MAX} observations, got {len(observations)}")
    if isinstance(read, _Notices) and len(read.told) > NOTICES_MAX:
        raise ValueError(f"Expected at most {NOTICES_MAX} notices, got {len(read.told)}")
    times = [seen.occurred_at for seen in observations]
    times += [read.expires_at] if isinstance(read, Created) else []
    items = read.items if isinstance(read, Page) else ()
    times += [at for item in items for at in (item.made_at, item.expires_at)]
    if any(at is not None and at.tzinfo is None for at in times):
        raise ValueError("Expected times with their zone")
    return read, is_clean


def _observations(read: object) -> Sequence[Observation]:
    """Every observation a plugin's value holds."""
    match read:
        case Found(observations=observations):
            return observations
        case _Notices(told=told):
            return [item for item in told if not isinstance(item, Mention)]
        case Page(items=items):
            return [item.observation for item in items]
        case Created(observation=seen) | Unknown(observation=seen) if seen is not None:
            return (seen,)
        case PaymentObservation() | RefundObservation():
            return (read,)
        case _:
            return ()


def _with_safe_action(account: Asked, told: object, secrets: Sequence[Secret]) -> Done[Any] | Unknown:
    if not isinstance(told, Created) or told.action is None:
        return Done(told)
    problem = _action_problem(account, told.action, secrets)
    if problem is None:
        return Done(told)
    return Unknown(problem=f"accepted, but what the payer needs has {problem}", observation=told.observation)


def _with_safe_steps(account: Asked, told: T, secrets: Sequence[Secret]) -> T:
    """What is told of orders, without an action that must not be shown; what was there before stays in force."""

    def safe(seen: Observation) -> Observation:
        action = seen.action if isinstance(seen, PaymentObservation) else None
        problem = None if action is None else _action_problem(account, action, secrets)
        if problem is None:
            return seen
        number = printable(seen.number)
        _log.warning("account %s: what the payer of %s needs has %s", account.name, number, problem)
        return _without_action(seen)

    has_actions = any(
        isinstance(seen, PaymentObservation) and seen.action is not None for seen in _observations(told)
    )
    return _each_observation(told, safe) if has_actions else told


def _action_problem(account: Asked, action: Action, secrets: Sequence[Secret]) -> str | None:
    if secrets and holds_secret(action, secrets):
        return "a secret of the account in it"
    url = action.url if isinstance(action, Redirect) else None
    url = action.script if isinstance(action, ClientCall) else url
    return None if url is None else url_problem(url, takes_loopback=account.mode != "live")


# --- counted: it is about what was asked ----------------------------------------------------------------


def answering(payment: Payment, operation: Operation, account: Account) -> Flow[Any]:
    """The operation's flow, its outcome checked and counted."""
    outcome = yield from reading(
        account, partial(flow_of, payment, operation, account), _TOLD[operation.kind]
    )
    return counted(operation, outcome, payment.order, account.capabilities)


_TOLD: Mapping[OperationKind, type[Created | RefundObservation | PaymentObservation]] = {
    OperationKind.CREATE: Created,
    OperationKind.CAPTURE: PaymentObservation,
    OperationKind.REFUND: RefundObservation,
    OperationKind.CLOSE: PaymentObservation,
}
"""The type of a `Done` outcome's value."""


def counted(operation: Operation, outcome: Any, order: Order, capabilities: Capabilities) -> Any:
    """A flow's outcome as an answer to `operation`; `Unknown` where it is one to something else, or lacks a part."""
    told = _observations(outcome.value if isinstance(outcome, Done) else outcome)
    if not told:
        return outcome
    (observation,) = told
    problem = _problem_of(observation, operation, order, capabilities)
    if problem is not None:
        return Unknown(problem=problem)
    if not isinstance(outcome, Done):
        return outcome
    if observation.is_signed_wrong:  # nothing is done by it, and no link out of it is shown
        return Unknown(problem="the answer's signature is wrong", observation=observation)
    return _whole(operation, outcome, capabilities.lookup) if isinstance(outcome.value, Created) else outcome


def _whole(operation: Operation, outcome: Done[Created], lookup: Lookup) -> Done[Created] | Unknown:
    """An accepted order, once it has what it is found by again, and what its payer needs."""
    created = outcome.value
    if _lacks_id(created.observation, lookup):
        return Unknown(problem="accepted, but without an id, and it can't be found by its number")
    if _lacks_action(operation, created):
        problem = "accepted, but without what the payer needs"
        return Unknown(problem=problem, observation=created.observation)
    return outcome


def _problem_of(
    observation: Observation, operation: Operation, order: Order, capabilities: Capabilities
) -> str | None:
    """Why an observation can't be the answer to this operation, None when it can."""
    number = operation.order_number or operation.number  # a capture is answered with its order
    is_refund = operation.kind is OperationKind.REFUND
    if observation.number != number or isinstance(observation, RefundObservation) is not is_refund:
        return "the answer speaks of another number than it was asked about"
    return _UNDECLARED if _is_undeclared(observation, order, capabilities) else None


def _lacks_action(operation: Operation, created: Created) -> bool:
    seen = created.observation
    is_open = operation.needs_action and seen.status == Status.PENDING
    return is_open and created.action is None and seen.action is None


def _lacks_id(seen: Observation, lookup: Lookup) -> bool:
    is_open = seen.status in (Status.PENDING, Status.AUTHORIZED)
    return is_open and lookup is Lookup.BY_PROVIDER_ID and not (seen.provider_id or seen.ids)


_UNDECLARED = "it is said to be authorized, but its product declares no capture"


def _is_undeclared(seen: Observation, of: Order | OrderRef, capabilities: Capabilities) -> bool:
    """Whether it is authorized although its product declares no capture: nobody could take the money."""
    if seen.status != Status.AUTHORIZED:
        return False
    product = capabilities.product_of_order(of.method, of.channel)
    return product is None or product.capture == "none"


def counted_found(refs: Iterable[OrderRef], found: Found, capabilities: Capabilities) -> Found:
    """What of the answer to a query counts: of numbers that were asked about, and without promises it contradicts."""
    asked = {ref.number: ref for ref in refs}
    own = [seen for seen in found.observations if seen.number in asked]
    undeclared = {seen.number for seen in own if _is_undeclared(seen, asked[seen.number], capabilities)}
    if undeclared:
        _log.warning("number %s: %s", printable(min(undeclared)), _UNDECLARED)
    return Found(
        observations=tuple(seen for seen in own if seen.number not in undeclared),
        absent=found.absent & asked.keys(),
        undecided=(found.undecided & asked.keys()) | undeclared,
    ).agreed()


def counted_notices(told: Iterable[Notice], capabilities: Capabilities) -> tuple[Notice, ...]:
    """
    What a notification says; no more than a mention of its number where that does not count.

    That is a promise which it contradicts itself; an authorization where not every product declares a capture, for a
    query knows of which product it is; an open order without an id where the next request could only name it by one.
    """
    all_capture = all(product.capture != "none" for product in capabilities.products)

    def counts(one: Observation) -> bool:
        is_declared = all_capture or one.status != Status.AUTHORIZED
        return is_declared and not _lacks_id(one, capabilities.lookup)

    notices = tuple(
        one if isinstance(one, Mention) or counts(one) else Mention(number=one.number) for one in told
    )
    seen = Found(observations=tuple(one for one in notices if not isinstance(one, Mention)))
    kept = {id(one) for one in seen.agreed().observations}
    return tuple(
        one if isinstance(one, Mention) or id(one) in kept else Mention(number=one.number) for one in notices
    )
