"""
The provider contract, held to: what a plugin raises or returns against it becomes a `PluginError`.

The error says what was raised, where in the plugin, and in which words, with secrets masked. What a plugin
returns is read as the ledger will read it, so that nothing is recorded that can't be read back.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, get_args

import msgspec

from paycore.domain.action import Action, Redirect
from paycore.domain.codec import decode, encode
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.provider import Created, Done, Found, Mention, Notice, Rejected, Secret, Unknown
from paycore.domain.safe_text import name_problem, printable, url_problem
from paycore.domain.wire import Flow, Method, Request
from paycore.engine.secrecy import harmless, holds_secret, holds_short_secret, is_harmless, mask, masked
from paycore.engine.wording import one_line, said
from paycore.errors import PaycoreError, PluginError

T = TypeVar("T")

_log = logging.getLogger(__name__)

TOLD_MAX = 64 * 1024
"""Bytes of what a plugin tells of one order, as they would be recorded."""

ID_MAX = 256
"""Characters of an id of the provider's."""

OBSERVATIONS_MAX = 10_000
"""Observations in one answer: a hundred of each order that can be asked about at once, and more."""

NOTICES_MAX = 1000
"""What one notification tells, in observations and mentions: it is recorded in one transaction."""

SAID_MAX = 200
"""Characters of a plugin's own words that an error repeats."""

_NOT_THE_PLUGIN = ("paycore.domain", "paycore.engine", "paycore.errors", "msgspec")


class Asked(Protocol):
    """Whose plugin is asked: names for an error, and secrets that must not be in it."""

    @property
    def name(self) -> str: ...
    @property
    def provider_name(self) -> str: ...
    @property
    def is_live(self) -> bool: ...
    @property
    def secrets(self) -> tuple[Secret, ...]: ...


# --- what a plugin raises ----------------------------------------------------------------------------


def ask(
    account: Asked,
    stage: str,
    call: Callable[[], T],
    *,
    may_raise: tuple[type[PaycoreError], ...] = (),
    auth_code: Secret | None = None,
) -> T:
    """
    What the plugin's `call` returns; `PluginError` for everything it raises but `may_raise`.

    That includes what ends a process or a task: a plugin ends neither. Only Ctrl-C is no plugin's.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's plugin raises
        failure = blamed(account, stage, error, may_raise=may_raise, auth_code=auth_code)
    raise failure from None  # out here, where nothing of the plugin's hangs on it


def blamed(
    account: Asked,
    stage: str,
    error: BaseException,
    *,
    may_raise: tuple[type[PaycoreError], ...],
    auth_code: Secret | None,
) -> PaycoreError:
    """The error for what a plugin raised: its own, bare, where the contract allows it, else a `PluginError`."""
    secrets = secrets_of(account, auth_code)
    if isinstance(error, may_raise):
        return _bare(error, secrets)
    return misused(account, stage, f"{type(error).__name__} in {_place(error)}{_said(error, secrets)}")


def misused(account: Asked, stage: str, problem: str) -> PluginError:
    """The error for a plugin that does not keep to its contract."""
    error = PluginError(
        f"account {account.name}: provider {account.provider_name} failed: {problem}",
        plugin=account.provider_name,
        stage=stage,
    )
    if stage != "flow":
        error.money_moved = "no"  # nothing but a flow sends
    return error


def _said(error: BaseException, secrets: Sequence[Secret]) -> str:
    """What the error says, as the end of a sentence: one line without secrets, or why it is not repeated."""
    words = said(error)
    if not words:
        return ""
    if holds_short_secret(words, secrets):
        return "; what it says may hold a secret, and is left out"
    return f": {one_line(mask(words, secrets), SAID_MAX)}"


def _bare(error: PaycoreError, secrets: Sequence[Secret]) -> PaycoreError:
    """A refusal as the contract allows it: its words without secrets, and nothing else of the plugin's."""
    error.message = harmless(error.message, secrets)
    error.args = (error.message,)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _place(error: BaseException) -> str:
    """Module and line: the innermost of the plugin's own, where there is one."""
    lines = [
        (str(frame.f_globals.get("__name__")), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in lines if not _is_foreign(place[0])]
    module, line = (own or lines)[-1]
    return f"{module}, line {line}"


def _is_foreign(module: str) -> bool:
    return module.startswith(_NOT_THE_PLUGIN) or module.partition(".")[0] in sys.stdlib_module_names


# --- what a plugin asks for --------------------------------------------------------------------------

_METHODS = get_args(Method)


def request_problem(request: object) -> str | None:
    """Why what a flow yielded can't be sent, None when it can; nothing of a request checks itself."""
    if not isinstance(request, Request):
        return f"it yielded {type(request).__name__} where a Request belongs"
    given: Any = request
    headers = given.headers
    if given.method not in _METHODS:
        return f"it asked by another method than {' and '.join(_METHODS)}"
    if not isinstance(given.path, str) or not isinstance(given.body, bytes):
        return "a request's path is text, and its body bytes"
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) for pair in headers.items() for text in pair
    ):
        return "a request's headers are a mapping of names to texts"
    return None


# --- what a plugin returns ---------------------------------------------------------------------------


def reading(
    account: Asked,
    begin: Callable[[], Flow[Any]],
    told: type[msgspec.Struct],
    *,
    auth_code: Secret | None = None,
) -> Flow[Any]:
    """
    The flow that `begin` makes, its outcome checked and with secrets masked; `told` is what a `Done` of it holds.

    `PluginError` when it is none, or can't be recorded. An order whose link must not be shown is `Unknown`
    with its observation: the order is there, what the payer needs is not.
    """
    return _read_outcome(account, (yield from begin()), told, secrets_of(account, auth_code))


def _read_outcome(
    account: Asked, outcome: object, told: type[msgspec.Struct], secrets: Sequence[Secret]
) -> Any:
    if isinstance(outcome, Done):
        value, is_clean = _read(account, "flow", outcome.value, told, secrets)
        kept = _with_usable_ids(account, value)
        return kept or _with_safe_action(account, value, () if is_clean else secrets)
    if isinstance(outcome, Rejected | Unknown):
        read, _ = _read(account, "flow", outcome, type(outcome), secrets)
        return _with_usable_ids(account, read) or read
    raise misused(account, "flow", f"it returned {type(outcome).__name__} where an outcome belongs")


class _Notices(msgspec.Struct, frozen=True, kw_only=True):
    told: tuple[Notice, ...]


def read_told(account: Asked, told: Sequence[Notice]) -> tuple[Notice, ...]:
    """What a notification says, checked and with secrets masked."""
    notice = ask(account, "verify", lambda: _Notices(told=tuple(told)))
    read, _ = _read(account, "verify", notice, _Notices, account.secrets)
    return tuple(item if _odd_id(item) is None else Mention(number=item.number) for item in read.told)


def _read(
    account: Asked, stage: str, value: object, kind: type[T], secrets: Sequence[Secret]
) -> tuple[T, bool]:
    """`value` as it would be read back once it is recorded, with secrets masked; and whether there was none to mask."""
    try:
        read, written = _read_back(value, kind)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's value does when it is looked at
        words = re.sub(r"'.*'", "'...'", str(error), flags=re.DOTALL)
        problem = one_line(mask(words, secrets), SAID_MAX)
    else:
        if is_harmless(written, secrets):
            return read, True
        kept = masked(read, secrets)
        if not holds_secret(_without_action(kept), secrets):
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


def secrets_of(account: Asked, auth_code: Secret | None) -> Sequence[Secret]:
    return account.secrets if auth_code is None else (*account.secrets, auth_code)
