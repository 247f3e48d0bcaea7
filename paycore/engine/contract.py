"""
The provider contract, held to: what a plugin raises or returns against it becomes a `PluginError`.

The plugin's own words are not repeated, for they may hold a key: the error says what was raised and where in
the plugin, which is enough to find it. What a plugin returns is read as the ledger will read it, so that
nothing is recorded that can't be read back.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from paycore.domain.codec import decode, encode
from paycore.domain.payment import Action, Observation, PaymentObservation, Redirect, RefundObservation
from paycore.domain.provider import Created, Done, Found, Rejected, Secret, Unknown
from paycore.domain.urls import url_problem
from paycore.domain.wire import Flow
from paycore.engine.secrecy import holds_secret, mask, masked
from paycore.errors import PaycoreError, PluginError

T = TypeVar("T")

TOLD_MAX = 64 * 1024
"""Bytes of what a plugin tells of one order, as they would be recorded."""

OBSERVATIONS_MAX = 10_000
"""Observations in one answer or notification: a hundred of each order that can be asked about at once, and more."""

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
    """What the plugin's `call` returns; `PluginError` for everything it raises but `may_raise`."""
    failure: PaycoreError
    try:
        return call()
    except may_raise as error:
        failure = _bare(error, _secrets(account, auth_code))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's plugin raises
        failure = broken(account, stage, error)
    raise failure from None  # out here, where nothing of the plugin's hangs on it


def broken(account: Asked, stage: str, error: Exception) -> PluginError:
    """The error for what a plugin raised, without its words."""
    return _misused(account, stage, f"{type(error).__name__} in {_place(error)}")


def _misused(account: Asked, stage: str, problem: str) -> PluginError:
    return PluginError(
        f"account {account.name}: provider {account.provider_name} failed: {problem}",
        plugin=account.provider_name,
        stage=stage,
    )


def _bare(error: PaycoreError, secrets: Sequence[Secret]) -> PaycoreError:
    """A refusal as the contract allows it: its words without secrets, and nothing else of the plugin's."""
    error.message = mask(error.message, secrets)
    error.args = (error.message,)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _place(error: Exception) -> str:
    """Module and line: the innermost of the plugin's own, where there is one."""
    lines = [
        (str(frame.f_globals.get("__name__")), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in lines if not _is_foreign(place[0])]
    module, line = (own or lines)[-1]
    return f"{module}, line {line}"


def _is_foreign(module: str) -> bool:
    return module.startswith(_NOT_THE_PLUGIN) or module.partition(".")[0] in sys.stdlib_module_names


# --- what a plugin returns ---------------------------------------------------------------------------


def reading(
    account: Asked, flow: Flow[Any], told: type[msgspec.Struct], *, auth_code: Secret | None = None
) -> Flow[Any]:
    """
    The flow, its outcome checked and with secrets masked; `told` is what a `Done` of it holds.

    `PluginError` when it is none, or can't be recorded. An order whose link must not be shown is `Unknown`
    with its observation: the order is there, what the payer needs is not.
    """
    return _read_outcome(account, (yield from flow), told, _secrets(account, auth_code))


def _read_outcome(
    account: Asked, outcome: object, told: type[msgspec.Struct], secrets: Sequence[Secret]
) -> Any:
    if isinstance(outcome, Done):
        value = _read(account, "flow", outcome.value, told, secrets)
        return _with_safe_action(account, value, secrets) if isinstance(value, Created) else Done(value)
    if isinstance(outcome, Rejected | Unknown):
        return _read(account, "flow", outcome, type(outcome), secrets)
    raise _misused(account, "flow", f"it returned {type(outcome).__name__} where an outcome belongs")


def read_observations(account: Asked, observations: Sequence[Observation]) -> Sequence[Observation]:
    """What a notification says, checked and with secrets masked."""
    found = ask(account, "verify", lambda: Found(observations=tuple(observations)))
    return _read(account, "verify", found, Found, account.secrets).observations


def _read(account: Asked, stage: str, value: object, kind: type[T], secrets: Sequence[Secret]) -> T:
    """`value` as it would be read back once it is recorded, with secrets masked."""
    try:
        read = _read_back(value, kind)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's value does when it is looked at
        words = re.sub(r"'.*'", "'...'", str(error), flags=re.DOTALL)
        problem = mask(words, secrets)[:200]
    else:
        return masked(read, secrets)
    raise _misused(account, stage, f"what it returned can't be recorded: {problem}")


def _read_back(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    written = encode(value)
    read = decode(written, kind)
    observations = _observations(read)
    if len(written) > TOLD_MAX * max(1, len(observations)):
        raise ValueError(f"Expected at most {TOLD_MAX} bytes, got {len(written)}")
    if len(observations) > OBSERVATIONS_MAX:
        raise ValueError(f"Expected at most {OBSERVATIONS_MAX} observations, got {len(observations)}")
    times = [seen.occurred_at for seen in observations]
    times += [read.expires_at] if isinstance(read, Created) else []
    if any(at is not None and at.tzinfo is None for at in times):
        raise ValueError("Expected times with their zone")
    if not all((seen.provider_id or "").isprintable() for seen in observations):
        raise ValueError("Expected a printable `provider_id`")
    return read


def _observations(read: object) -> Sequence[Observation]:
    """Every observation a plugin's value holds."""
    match read:
        case Found(observations=observations):
            return observations
        case Created(observation=seen) | Unknown(observation=seen) if seen is not None:
            return (seen,)
        case PaymentObservation() | RefundObservation():
            return (read,)
        case _:
            return ()


def _with_safe_action(account: Asked, created: Created, secrets: Sequence[Secret]) -> Done[Created] | Unknown:
    problem = None if created.action is None else _action_problem(account, created.action, secrets)
    if problem is None:
        return Done(created)
    return Unknown(
        problem=f"accepted, but what the payer needs has {problem}", observation=created.observation
    )


def _action_problem(account: Asked, action: Action, secrets: Sequence[Secret]) -> str | None:
    if holds_secret(action, secrets):
        return "a secret of the account in it"
    if isinstance(action, Redirect):
        return url_problem(action.url, takes_loopback=not account.is_live)
    return None


def _secrets(account: Asked, auth_code: Secret | None) -> tuple[Secret, ...]:
    return account.secrets if auth_code is None else (*account.secrets, auth_code)
