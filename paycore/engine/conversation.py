"""
One provider conversation as a program: requests out, responses in, within one deadline.

The only loop between core and provider. What a flow raises, and every transport failure, becomes a typed error that
says whether money may have moved.
"""

from __future__ import annotations

import logging
from typing import TypeVar

from paycore.domain.provider import Secret
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Request, Response
from paycore.engine.accounts import Account
from paycore.engine.contract import blamed, misused, request_problem, secrets_of
from paycore.engine.effects import OnWire, Program
from paycore.engine.telling import requests_log, tell_request
from paycore.engine.transport import Deadline, Stopwatch
from paycore.errors import MaybeSent, NotSent, PaycoreError, PluginError

T = TypeVar("T")


def converse(
    account: Account, flow: Flow[T], deadline: Deadline | None = None, *, auth_code: Secret | None = None
) -> Program[T]:
    """
    What the flow returns, by `deadline` (None: the account's whole time from now).

    Raises `NotSent` when nothing left this machine, `MaybeSent` when no usable answer came, `PluginError`
    when the flow itself failed. Only the first request can be not sent: after that everything is maybe.
    `auth_code` is kept out of what the plugin says.
    """
    deadline = deadline or Deadline(account.timeout_s)
    failure: NotSent | MaybeSent | None = None
    is_told = requests_log.isEnabledFor(logging.DEBUG)
    request, result = _begin(account, flow, auth_code)
    for sent in range(FLOW_REQUESTS_MAX):
        if request is None:
            return result
        watch = Stopwatch() if is_told else None
        try:
            response: Response = yield OnWire(account.name, account.base_url, request, deadline)
        except (NotSent, MaybeSent) as error:
            if watch is not None:
                tell_request(account.name, request, error, watch, secrets_of(account, auth_code))
            is_sure = isinstance(error, NotSent) and not sent
            failure = (NotSent if is_sure else MaybeSent)(f"account {account.name}: {error.message}")
            break
        if watch is not None:
            tell_request(account.name, request, response.status, watch, secrets_of(account, auth_code))
        request, result = _advance(account, flow, response, auth_code)
    if request is None:
        return result
    _end_early(flow)
    raise failure or MaybeSent(
        f"account {account.name}: the provider asked for more than {FLOW_REQUESTS_MAX} requests"
    )


def _begin(account: Account, flow: Flow[T], auth_code: Secret | None) -> tuple[Request | None, T]:
    """The flow's first request, or None and what it returned; an error of it says that nothing was sent."""
    try:
        return _advance(account, flow, None, auth_code)
    except PluginError as error:
        error.money_moved = "no"
        raise


def _advance(
    account: Account, flow: Flow[T], response: object, auth_code: Secret | None
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
        failure = blamed(account, "flow", error, may_raise=(PluginError,), auth_code=auth_code)
    else:
        problem = request_problem(request)
        if problem is None:
            return request, None  # type: ignore[return-value]
        failure = misused(account, "flow", problem)
    raise failure from None  # out here, where nothing of the plugin's hangs on it


def _end_early(flow: Flow[T]) -> None:
    """Close a flow that gets no answer any more, and ignore whatever it raises."""
    try:
        flow.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - what is known of the request is what counts
        pass
