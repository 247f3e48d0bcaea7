"""
What a plugin returns: read as the ledger will read it, and counted only where it answers what was asked.

What can't be read back, or has a secret where none can be masked, is a `PluginError`. An answer about another number
counts as none. An accepted order without the action its payer needs is `Unknown`: the order exists, but nobody can
pay it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from paycore.domain.action import Action, Redirect
from paycore.domain.bounds import ID_MAX
from paycore.domain.codec import decode, encode
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Operation, OperationKind, Status
from paycore.domain.provider import (
    Created,
    Done,
    Found,
    Mention,
    Notice,
    NotNow,
    OrderRef,
    Rejected,
    Secret,
    Unknown,
)
from paycore.domain.safe_text import name_problem, printable, url_problem
from paycore.domain.wire import Flow
from paycore.engine.contract import SAID_MAX, Asked, ask, misused
from paycore.engine.secrecy import holds_secret, is_harmless, mask, masked
from paycore.engine.wording import one_line

T = TypeVar("T")

_log = logging.getLogger(__name__)

TOLD_MAX = 64 * 1024
"""Bytes of what a plugin tells of one order, as they would be recorded."""

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
        kept = _with_usable_ids(account, value)
        return kept or _with_safe_action(account, value, () if is_clean else account.secrets)
    if isinstance(outcome, Rejected | NotNow | Unknown):
        read, _ = _read(account, "flow", outcome, type(outcome))
        return _with_usable_ids(account, read) or read
    raise misused(account, "flow", f"it returned {type(outcome).__name__} where an outcome belongs")


class _Notices(msgspec.Struct, frozen=True, kw_only=True):
    told: tuple[Notice, ...]


def read_told(account: Asked, told: Sequence[Notice]) -> tuple[Notice, ...]:
    """What a notification says, checked and with secrets masked."""
    notice = ask(account, "verify", lambda: _Notices(told=tuple(told)))
    read, _ = _read(account, "verify", notice, _Notices)
    return tuple(item if _odd_id(item) is None else Mention(number=item.number) for item in read.told)


def _read(account: Asked, stage: str, value: object, kind: type[T]) -> tuple[T, bool]:
    """`value` as it would be read back once it is recorded, with secrets masked; and whether there was none to mask."""
    try:
        read, written = _read_back(value, kind)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's value does when it is looked at
        words = re.sub(r"'.*'", "'...'", str(error), flags=re.DOTALL)
        problem = one_line(mask(words, account.secrets), SAID_MAX)
    else:
        if is_harmless(written, account.secrets):
            return read, True
        kept = masked(read, account.secrets)
        if not holds_secret(_without_action(kept), account.secrets):
            return kept, False
        problem = "an id or a number in it has a secret of the account in it"
    raise misused(account, stage, f"what it returned can't be recorded: {problem}")


def _with_usable_ids(account: Asked, told: object) -> Done[Found] | Unknown | None:
    """
    What is left of an answer with an id that nobody could write down, or tell from another; None without one.

    An observation with such an id counts for nothing, and nothing is concluded from it: its number stays undecided.
    """
    odd = {seen.number: problem for seen in _observations(told) if (problem := _odd_id(seen)) is not None}
    if not odd:
        return None
    number, problem = next(iter(odd.items()))
    if not isinstance(told, Found):
        words = f"{told.problem}; " if isinstance(told, Unknown) else ""
        return Unknown(problem=f"{words}the provider's id in the answer {problem}")
    _log.warning(
        "account %s: what the provider says of %d of its orders is not taken; of number %s its id %s",
        account.name,
        len(odd),
        printable(number),
        problem,
    )
    kept = tuple(seen for seen in told.observations if seen.number not in odd)
    return Done(msgspec.structs.replace(told, observations=kept, undecided=told.undecided | odd.keys()))


def _odd_id(told: Notice) -> str | None:
    """Why the provider's id in it can't be used, None when it can, or there is none."""
    provider_id = None if isinstance(told, Mention) else told.provider_id
    if provider_id is None:
        return None
    if len(provider_id) > ID_MAX:
        return f"is longer than {ID_MAX} characters"
    return name_problem(provider_id)


def _without_action(told: object) -> object:
    """What is told of the order: what the payer needs is judged by itself, and may be left out."""
    return msgspec.structs.replace(told, action=None) if isinstance(told, Created) else told


def _read_back(value: object, kind: type[T]) -> tuple[T, bytes]:
    if not isinstance(value, kind):
        raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    written = encode(value)
    read = decode(written, kind)
    observations = _observations(read)
    if len(written) > TOLD_MAX * max(1, len(observations)):
        raise ValueError(f"Expected at most {TOLD_MAX} bytes, got {len(written)}")
    if len(observations) > OBSERVATIONS_MAX:
        raise ValueError(f"Expected at most {OBSERVATIONS_MAX} observations, got {len(observations)}")
    if isinstance(read, _Notices) and len(read.told) > NOTICES_MAX:
        raise ValueError(f"Expected at most {NOTICES_MAX} notices, got {len(read.told)}")
    times = [seen.occurred_at for seen in observations]
    times += [read.expires_at] if isinstance(read, Created) else []
    if any(at is not None and at.tzinfo is None for at in times):
        raise ValueError("Expected times with their zone")
    return read, written


def _observations(read: object) -> Sequence[Observation]:
    """Every observation a plugin's value holds."""
    match read:
        case Found(observations=observations):
            return observations
        case _Notices(told=told):
            return [item for item in told if not isinstance(item, Mention)]
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


def _action_problem(account: Asked, action: Action, secrets: Sequence[Secret]) -> str | None:
    if secrets and holds_secret(action, secrets):
        return "a secret of the account in it"
    if isinstance(action, Redirect):
        return url_problem(action.url, takes_loopback=not account.is_live)
    return None


# --- counted: it is about what was asked ----------------------------------------------------------------


def counted(operation: Operation, outcome: Any) -> Any:
    """A flow's outcome as an answer to `operation`; `Unknown` where it is one to something else."""
    told = _observations(outcome.value if isinstance(outcome, Done) else outcome)
    if not told:
        return outcome
    (observation,) = told
    is_refund = operation.kind is OperationKind.REFUND
    number = operation.order_number or operation.number  # a capture is answered with its order
    if observation.number != number or isinstance(observation, RefundObservation) is not is_refund:
        return Unknown(problem="the answer speaks of another number than it was asked about")
    if not isinstance(outcome, Done):
        return outcome
    if observation.is_signed_wrong:  # nothing is done by it, and no link out of it is shown
        return Unknown(problem="the answer's signature is wrong", observation=observation)
    is_open = operation.needs_action and observation.status == Status.PENDING
    if isinstance(outcome.value, Created) and outcome.value.action is None and is_open:
        return Unknown(problem="accepted, but without what the payer needs", observation=observation)
    return outcome


def counted_found(refs: Iterable[OrderRef], found: Found) -> Found:
    """What of the answer to a query counts: of numbers that were asked about, and without promises it contradicts."""
    asked = {ref.number for ref in refs}
    own = (seen for seen in found.observations if seen.number in asked)
    return Found(
        observations=tuple(own),
        absent=found.absent & asked,
        undecided=found.undecided & asked,
    ).agreed()


def counted_notices(told: Iterable[Notice]) -> tuple[Notice, ...]:
    """What a notification says; a promise that it contradicts itself is no more than a mention of its number."""
    notices = tuple(told)
    seen = Found(observations=tuple(one for one in notices if not isinstance(one, Mention)))
    kept = {id(one) for one in seen.agreed().observations}
    return tuple(
        one if isinstance(one, Mention) or id(one) in kept else Mention(number=one.number) for one in notices
    )
