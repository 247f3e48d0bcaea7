"""
Calls into a plugin: what it raises against its contract becomes a `PluginError`, and what it asks for is sent.

The error says what was raised, where in the plugin, and in which words, with secrets masked. `converse` is the only
loop between core and provider: requests out, responses in, within one deadline.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args

from paycore.domain.capabilities import Mode
from paycore.domain.payment import Failure
from paycore.domain.provider import Capabilities, Done, NotNow, Rejected, Secret, Unknown
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Method, Request, Response
from paycore.engine.effects import OnWire, Program
from paycore.engine.secrecy import Secrets, harmless, holds_short_secret, mask
from paycore.engine.telling import Listening, requests_log, tell_request
from paycore.engine.timing import Deadline, Stopwatch
from paycore.engine.turns import rest_if_refused, take_turn
from paycore.engine.wording import one_line, one_of, said, shown
from paycore.errors import AccountRefused, LedgerError, MaybeSent, NotSent, PaycoreError, PluginError

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

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
    def mode(self) -> Mode: ...
    @property
    def secrets(self) -> Secrets: ...


class Reached(Asked, Protocol):
    """Whose provider is sent requests."""

    @property
    def tls(self) -> ssl.SSLContext | None: ...
    @property
    def base_urls(self) -> Mapping[str, str]: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def listening(self) -> Listening: ...


# --- what a plugin raises ----------------------------------------------------------------------------


def ask(
    account: Asked,
    stage: str,
    call: Callable[[], T],
    *,
    may_raise: tuple[type[PaycoreError], ...] = (),
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
        failure = blamed(account, stage, error, may_raise=may_raise)
    raise failure from None  # out here, where nothing of the plugin's hangs on it


def blamed(
    account: Asked,
    stage: str,
    error: BaseException,
    *,
    may_raise: tuple[type[PaycoreError], ...],
) -> PaycoreError:
    """The error for what a plugin raised: its own, bare, where the contract allows it, else a `PluginError`."""
    if isinstance(error, may_raise):
        return _bare(error, account.secrets)
    problem = f"{type(error).__name__} in {_place(error)}{_said(error, account.secrets)}"
    return misused(account, stage, problem)


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


def _waiting_at(flow: Flow[Any]) -> str:
    """Where a flow has yielded, as the end of a sentence; nothing where it is no generator."""
    inner: Any = flow
    while isinstance(inner, GeneratorType) and isinstance(inner.gi_yieldfrom, GeneratorType):
        inner = inner.gi_yieldfrom
    frame = inner.gi_frame if isinstance(inner, GeneratorType) else None
    return "" if frame is None else f"; in {frame.f_globals.get('__name__')}, line {frame.f_lineno}"


def _is_foreign(module: str) -> bool:
    return module.startswith(_NOT_THE_PLUGIN) or module.partition(".")[0] in sys.stdlib_module_names


# --- what a plugin refuses ---------------------------------------------------------------------------


def put_off(account: Asked, outcome: NotNow) -> NotSent:
    """The error for a request that the provider refused for now."""
    return NotSent(
        f"account {account.name}: the provider refused it for now: {outcome.problem};"
        f" call again in {math.ceil(outcome.retry_after_s)} s",
        retry_after_s=outcome.retry_after_s,
    )


def answer_of(account: Asked, outcome: Done[T] | Rejected | NotNow | Unknown) -> T:
    """
    What a flow that only asks was answered.

    Raises `AccountRefused` or `NotSent` where the provider refused it, and `MaybeSent` without a usable answer.
    """
    match outcome:
        case Done(value):
            return value
        case Rejected(failure=failure):
            raise refused(account, failure)
        case NotNow():
            raise put_off(account, outcome)
        case Unknown(problem=problem):
            raise MaybeSent(f"account {account.name}: the provider gave no usable answer: {problem}")


def refused(account: Asked, failure: Failure) -> AccountRefused:
    """The error for a refusal that is about the account, in the provider's words."""
    message = f"account {account.name}: the provider refused with {failure.code}: {failure.message}"
    if failure.advice:
        message += f". {failure.advice}"
    return AccountRefused(message, code=failure.code)


# --- what a plugin asks for --------------------------------------------------------------------------

_METHODS = get_args(Method)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"})


def request_problem(account: Reached, request: object) -> str | None:
    """Why what a flow yielded can't be sent, None when it can; nothing of a request checks itself."""
    if not isinstance(request, Request):
        return f"it yielded {type(request).__name__} where a Request belongs"
    return next(_request_problems(account, request), None)


def _request_problems(account: Reached, given: Any) -> Iterator[str]:
    if given.method not in _METHODS:
        yield f"it asked by another method than {one_of(_METHODS)}"
    if not isinstance(given.host, str) or given.host not in account.base_urls:
        yield f"it asked a host it has not declared; declared: {one_of(filter(None, account.base_urls))}"
    if not (given.safe is None or isinstance(given.safe, bool)):
        yield "whether a request is safe is True, False or None"
    if not isinstance(given.path, str) or not isinstance(given.body, bytes):
        yield "a request's path is text, and its body bytes"
    elif not given.path.startswith("/") or given.path.startswith("//"):
        yield "a request's path starts with one '/', and never names a host"
    elif any(form in given.path for form in account.secrets.forms):
        yield "a request's path has a secret in it; put it into a header or the body"
    if not isinstance(given.headers, Mapping) or not all(
        isinstance(text, str) for pair in given.headers.items() for text in pair
    ):
        yield "a request's headers are a mapping of names to texts"
    else:
        yield from _header_problems(given.headers)


def _header_problems(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            yield f"the header {shown(name)} can't be written as HTTP: names are words, and values one line of ASCII"
        if name.lower() in _OURS:
            yield f"the header {shown(name)} is not a plugin's: it is sent as the request's host and body need it"


# --- requests out, responses in ----------------------------------------------------------------------


def converse(
    account: Reached, flow: Flow[T], deadline: Deadline, *, all_safe: bool = False, turns: int = 0
) -> Program[T]:
    """
    What the flow returns, by `deadline`.

    Until a request that is not safe may have arrived, nothing can have moved: then `NotSent` is raised when there is
    no usable answer, also where the flow returns `Unknown`, and a `PluginError` says that no money moved. After it
    `MaybeSent` is raised when no usable answer came. `all_safe`: no request of this flow can move money.

    The first `turns` requests have their turn in the account's request budget; each further one waits for its own, and
    is `NotSent` where that does not come before the deadline.
    """
    may_have_moved = False
    request, result = _advance(account, flow, None, may_have_moved=False)
    for sent in range(FLOW_REQUESTS_MAX):
        if request is None:
            break
        try:
            came = yield from _exchange(account, request, deadline, has_turn=sent < turns)
        except LedgerError as error:
            # It gave no turn, so this request was not sent; what its class says is of no use.
            _end_early(flow)
            error.money_moved = "maybe" if may_have_moved else "no"
            raise
        is_safe = all_safe or request.is_safe
        may_have_moved = may_have_moved or not (is_safe or isinstance(came, NotSent))
        if not isinstance(came, Response):
            _end_early(flow)
            is_sure = may_have_moved or isinstance(came, NotSent)
            problem = came.message if is_sure else f"{came.message}; what was asked so far can't move money"
            failure = _unanswered(account, problem, may_have_moved=may_have_moved)
            if isinstance(failure, NotSent) and isinstance(came, NotSent):
                failure.retry_after_s = came.retry_after_s
            raise failure
        request, result = _advance(account, flow, came, may_have_moved=may_have_moved)
    if request is not None:
        _end_early(flow)
        problem = (
            f"provider {account.provider_name} asked for more than {FLOW_REQUESTS_MAX} requests in one flow"
        )
        raise _unanswered(account, problem, may_have_moved=may_have_moved)
    if isinstance(result, Unknown) and result.observation is None and not may_have_moved:
        raise _unanswered(account, f"no usable answer: {result.problem}", may_have_moved=False)
    return result


def _unanswered(account: Asked, problem: str, *, may_have_moved: bool) -> NotSent | MaybeSent:
    return (MaybeSent if may_have_moved else NotSent)(f"account {account.name}: {problem}")


def _exchange(
    account: Reached, request: Request, deadline: Deadline, *, has_turn: bool
) -> Program[Response | NotSent | MaybeSent]:
    """What came of one request, within the account's budget; it is logged and counted where somebody listens."""
    if not has_turn:
        try:
            yield from take_turn(account, deadline)
        except NotSent as error:
            error.message = error.message.removeprefix(f"account {account.name}: ")
            return error
    is_logged, counter = requests_log.isEnabledFor(logging.DEBUG), account.listening.counter
    watch = Stopwatch() if is_logged or counter is not None else None
    came: Response | NotSent | MaybeSent
    try:
        came = yield OnWire(account.name, account.base_urls[request.host], request, deadline, account.tls)
    except (NotSent, MaybeSent) as error:
        came = error
    if counter is not None and watch is not None:
        counter.requested(account.name, came, watch.seconds)
    if isinstance(came, Response):
        yield from rest_if_refused(account, came)
    if watch is not None and is_logged:
        tell_request(account.name, request, came, watch, account.secrets)
    return came


def _advance(
    account: Reached, flow: Flow[T], response: Response | None, *, may_have_moved: bool
) -> tuple[Request | None, T]:
    """The flow's next request, or None and what it returned."""
    failure: PaycoreError
    try:
        request = flow.send(response)  # type: ignore[arg-type]
    except StopIteration as stop:
        return None, stop.value
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's plugin raises
        failure = blamed(account, "flow", error, may_raise=(PluginError,))
    else:
        problem = request_problem(account, request)
        if problem is None:
            return request, None  # type: ignore[return-value]
        failure = misused(account, "flow", f"{problem}{_waiting_at(flow)}")
        _end_early(flow)
    failure.money_moved = "maybe" if may_have_moved else "no"
    raise failure from None  # out here, where nothing of the plugin's hangs on it


def _end_early(flow: Flow[T]) -> None:
    """Close a flow that gets no answer any more, and ignore whatever it raises."""
    try:
        flow.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - what is known of the request is what counts
        pass
