"""A session is opened once for all who need it, held in memory, and opened anew when it has ended or was refused."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from paycore import AsyncClient, Client, Config, Status
from paycore.engine import timing, transport
from paycore.engine.plugins import Plugins
from paycore.errors import AccountRefused, NotAuthentic, NotSent, PluginError
from paycore.plugin import (
    Attempt,
    Done,
    Failure,
    Flow,
    Notice,
    Notification,
    NotNow,
    Provider,
    ProviderInfo,
    Rejected,
    Request,
    Secret,
    Session,
    SessionReply,
    Unknown,
    hookimpl,
)
from paycore.plugin import NotAuthentic as Refused
from paycore.testing.toy import SessionToyProvider, ToyGateway
from tests.engine.tills import HKD_88, Kind, Till
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_plugins, toy_server

ORDER: dict[str, Any] = {"amount": HKD_88, "method": "toy", "channel": "web"}
CALLERS = 8

Open = Callable[[SessionToyProvider, Attempt], Flow[Any]]


class Shaped(SessionToyProvider):
    """The toy with a token, of which each test may replace how it is got, and how a notification is verified."""

    info: ClassVar[ProviderInfo] = msgspec.structs.replace(SessionToyProvider.info, name="toy-shaped")
    opening: ClassVar[Open | None] = None
    verified_by: ClassVar[list[Any]] = []
    refused_by: ClassVar[set[str]] = set()

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:
        """As the test says."""
        opening = Shaped.opening
        return (yield from (super().open_session(attempt) if opening is None else opening(self, attempt)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """By the token as well: a certificate, say."""
        token = None if notification.session is None else notification.session.reveal()
        Shaped.verified_by.append(token)
        if token in Shaped.refused_by:
            raise Refused(f"not by {token}")
        return super().verify(notification)


class ShapedPlugin:
    """Offers it."""

    @hookimpl
    def paycore_register_providers(self) -> Sequence[type[Provider]]:
        return [Shaped]


@pytest.fixture(autouse=True)
def _as_it_is() -> Iterator[None]:
    """Every test begins with the toy as it is."""
    Shaped.opening, Shaped.verified_by, Shaped.refused_by = None, [], set()
    yield
    Shaped.opening = None


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    """A gateway that wants a token."""
    with toy_server(ToyGateway(key=KEY, needs_token=True)) as server:
        yield server


@pytest.fixture
def config(gateway: ToyServer, tmp_path: Path) -> Config:
    """One account there."""
    dsn = f"sqlite:///{tmp_path / 'paycore.db'}"
    return toy_config(gateway.url, dsn, provider="toy-shaped", timeout_s=2.0, proof_s=0.1)


@pytest.fixture
def till(kind: Kind, config: Config) -> Iterator[Till]:
    """A client of either kind."""
    till = Till(kind, config, plugins())
    yield till
    till.shutdown()


def plugins() -> Plugins:
    return Plugins(extra=[("shaped", ShapedPlugin())])


def tokens_made(gateway: ToyServer) -> int:
    return gateway.counts().requests.get("/token", 0)


def until_asked(gateway: ToyServer) -> None:
    """Until the request for a token has arrived."""
    while not tokens_made(gateway):
        time.sleep(0.02)


# --- once for all --------------------------------------------------------------------------------------


def test_one_session_serves_every_flow(till: Till, gateway: ToyServer) -> None:
    """Create, query and close, and every later payment, use the token that was got first."""
    first = till.create("order-1")
    till.query(first)
    till.close(first)
    till.create("order-2")
    assert tokens_made(gateway) == 1


def test_threads_that_need_it_at_once_wait_for_one(config: Config, gateway: ToyServer) -> None:
    """Eight first payments at once open one session."""
    gateway.set_faults(delay_s=0.2, path="/token")
    with Client(config, plugins=plugins()) as pay, ThreadPoolExecutor(CALLERS) as pool:
        made = list(pool.map(lambda n: pay.create(reference=f"order-{n}", **ORDER), range(CALLERS)))
    assert {payment.status for payment in made} == {Status.PENDING}
    assert tokens_made(gateway) == 1


def test_tasks_that_need_it_at_once_wait_for_one(config: Config, gateway: ToyServer) -> None:
    """The same on an event loop."""
    gateway.set_faults(delay_s=0.2, path="/token")

    async def create_all() -> Sequence[Any]:
        async with AsyncClient(config, plugins=plugins()) as pay:
            return await asyncio.gather(
                *(pay.create(reference=f"order-{n}", **ORDER) for n in range(CALLERS))
            )

    assert {payment.status for payment in asyncio.run(create_all())} == {Status.PENDING}
    assert tokens_made(gateway) == 1


def test_cancelled_opener_leaves_it_to_the_next(config: Config, gateway: ToyServer) -> None:
    """Whoever waits for a session whose opener was cancelled opens it, at once."""
    gateway.set_faults(delay_s=1.0, path="/token")

    async def cancel_first() -> Any:
        async with AsyncClient(config, plugins=plugins()) as pay:
            first = asyncio.create_task(pay.create(reference="order-1", **ORDER))
            await asyncio.to_thread(until_asked, gateway)
            second = asyncio.create_task(pay.create(reference="order-2", **ORDER))
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError) as kept:  # with its frames, as a debugger keeps them
                await first
            return await second, kept

    assert asyncio.run(cancel_first())[0].status is Status.PENDING
    assert tokens_made(gateway) == 2


def test_interrupted_opener_leaves_it_to_the_next(
    config: Config, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for Ctrl-C in a thread: the next payment waits for nobody."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with Client(config, plugins=plugins()) as pay:
        with monkeypatch.context() as once:
            once.setattr(transport.Sender, "send", interrupted)
            with pytest.raises(KeyboardInterrupt) as kept:
                pay.create(reference="order-1", **ORDER)
        assert kept.tb is not None
        assert pay.create(reference="order-2", **ORDER).status is Status.PENDING


def test_all_who_wait_hear_of_one_failure(config: Config, gateway: ToyServer) -> None:
    """A refusal is not asked for by each of them again; each has an error of its own, with its payment."""
    Shaped.opening = refusing
    gateway.set_faults(delay_s=0.3, path="/token")
    problems: list[AccountRefused] = []

    def create(n: int) -> None:
        with pytest.raises(AccountRefused) as raised:
            pay.create(reference=f"order-{n}", **ORDER)
        problems.append(raised.value)

    with Client(config, plugins=plugins()) as pay, ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(create, range(CALLERS)))
        assert {pay.get(problem.payment_id or "").reference for problem in problems} == {
            f"order-{n}" for n in range(CALLERS)
        }
    assert tokens_made(gateway) == 1


def refusing(provider: SessionToyProvider, attempt: Attempt) -> Flow[SessionReply]:
    """The provider does not know the credentials."""
    yield from SessionToyProvider.open_session(provider, attempt)
    return Rejected(failure=Failure(code="invalid_client", message="who are you?", who_acts="operator"))


def test_accounts_share_no_session(kind: Kind, config: Config, gateway: ToyServer) -> None:
    """Each account opens its own, though provider and gateway are the same."""
    own = config.accounts["toy"]
    other = msgspec.structs.replace(own, name="other", settings={**own.settings, "key": "other"})
    both = msgspec.structs.replace(config, accounts={"toy": own, "other": other})
    till = Till(kind, both, plugins())
    first, second = till.create("order-1"), till.create("order-2", account="other")
    assert till.query(first).status is till.query(second).status is Status.PENDING
    assert sorted(gateway.gateway.tokens.values()) == ["other", KEY]
    till.shutdown()


# --- anew ----------------------------------------------------------------------------------------------


def test_refused_session_is_opened_anew_and_the_flow_run_again(till: Till, gateway: ToyServer) -> None:
    """A token that was revoked costs the caller nothing; no order is made twice."""
    first = till.create("order-1")
    gateway.gateway.refuse_tokens()
    assert till.query(first).status is Status.PENDING
    gateway.gateway.refuse_tokens()
    second = till.create("order-2")
    assert (second.status, second.creation.send_count) == (Status.PENDING, 1)
    assert tokens_made(gateway) == 3
    assert set(gateway.counts().orders.values()) == {1}


def test_session_that_is_refused_again_moves_nothing(till: Till, gateway: ToyServer) -> None:
    """Two tokens are tried, no more; the payment waits for its caller, and is made once a token holds."""

    def forged(provider: SessionToyProvider, attempt: Attempt) -> Flow[SessionReply]:
        yield from SessionToyProvider.open_session(provider, attempt)
        return Done(Session(value=Secret("forged-token")))

    Shaped.opening = forged
    with pytest.raises(NotSent, match="the token does not hold") as raised:
        till.create()
    assert tokens_made(gateway) == 2
    payment = till.get(raised.value.payment_id or "")
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    Shaped.opening = None
    assert till.create().status is Status.PENDING


def test_session_is_opened_anew_before_it_ends(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last tenth of its time: a flow that begins with it must end with it. Before that it is kept."""
    gateway.gateway.token_lasts_s = 100.0
    first = till.create()
    ahead_s, real = 0.0, time.monotonic

    class Ahead:
        @staticmethod
        def monotonic() -> float:
            return real() + ahead_s

    monkeypatch.setattr(timing, "time", Ahead)
    ahead_s = 85.0
    till.query(first)
    assert tokens_made(gateway) == 1
    ahead_s = 91.0
    till.query(first)
    assert tokens_made(gateway) == 2


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply"])
def test_session_that_could_not_be_opened_moves_nothing(till: Till, gateway: ToyServer, fault: str) -> None:
    """No token, no order: the request for one moves nothing, whether or not it arrived."""
    gateway.set_faults(**{fault: 1}, path="/token")
    with pytest.raises(NotSent) as raised:
        till.create()
    payment = till.get(raised.value.payment_id or "")
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    assert gateway.counts().creates == {}
    assert till.create().status is Status.PENDING


def test_session_that_is_put_off_says_until_when(till: Till, gateway: ToyServer) -> None:
    """A full budget for tokens is one for the payment."""
    gateway.set_faults(not_now=1, retry_after_s=7.0, path="/token")
    with pytest.raises(NotSent) as raised:
        till.create()
    assert raised.value.retry_after_s == 7.0
    assert till.find("order-1").status is Status.CREATED


def returning(value: Any) -> Open:
    def opening(_provider: SessionToyProvider, _attempt: Attempt) -> Flow[Any]:
        yield Request(method="POST", path="/token", body=b'{"key": "toy"}')
        if isinstance(value, BaseException):
            raise value
        return value

    return opening


NO_SESSIONS: dict[str, Any] = {
    "nothing": None,
    "the token itself": "token-1",
    "done with a text": Done("token-1"),
    "no time": Done(Session(value=1, lasts_s=0)),
    "time that was": Done(Session(value=1, lasts_s=-1)),
    "time without end": Done(Session(value=1, lasts_s=float("inf"))),
    "time that is none": Done(Session(value=1, lasts_s=float("nan"))),
    "time in words": Done(Session(value=1, lasts_s="3600")),  # type: ignore[arg-type]
    "refusal of nothing": Rejected(failure=None),  # type: ignore[arg-type]
    "an error": KeyError("access_token"),
    "the end of the process": SystemExit(3),
}


@pytest.mark.parametrize("value", NO_SESSIONS.values(), ids=NO_SESSIONS)
def test_plugin_that_opens_no_session_is_named(till: Till, value: Any) -> None:
    """Nothing can have moved, whatever it returns or raises; a corrected one makes the payment."""
    Shaped.opening = returning(value)
    with pytest.raises(PluginError, match="provider toy-shaped failed") as raised:
        till.create()
    assert raised.value.money_moved == "no"
    payment = till.get(raised.value.payment_id or "")
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    Shaped.opening = None
    assert till.create().status is Status.PENDING


def test_unknown_answer_to_a_safe_request_moves_nothing(till: Till) -> None:
    """`Unknown` in answer to the request for a token leaves the payment created."""
    Shaped.opening = returning(Unknown(problem="HTML instead of JSON"))
    with pytest.raises(NotSent, match="HTML instead of JSON"):
        till.create()
    assert till.find("order-1").status is Status.CREATED


def test_not_now_without_a_session_is_no_reason_to_open_one(till: Till, gateway: ToyServer) -> None:
    """A request that is put off is not sent again at once, and the session stays."""
    first = till.create("order-1")
    gateway.set_faults(not_now=1, retry_after_s=5.0, path="/orders")
    with pytest.raises(NotSent):
        till.create("order-2")
    till.query(first)
    assert (tokens_made(gateway), gateway.counts().requests["/orders"]) == (1, 1)


# --- notifications ----------------------------------------------------------------------------------------


def test_verify_has_the_session(till: Till, gateway: ToyServer, config: Config) -> None:
    """And only `verify`: of what is recorded with the notification it is no part."""
    payment = till.create()
    gateway.gateway.pay(payment.order_number)
    till.receive(*gateway.notification(payment.order_number))
    assert Shaped.verified_by == ["token-1"]
    assert not [text for text in recorded(config) if "token-1" in text]


def recorded(config: Config) -> list[str]:
    """Everything in the ledger's files."""
    ledger = Path(config.ledger.removeprefix("sqlite:///"))
    return [file.read_bytes().decode("latin-1") for file in ledger.parent.glob(f"{ledger.name}*")]


def test_verify_of_a_client_that_has_sent_nothing_has_one_too(
    till: Till, config: Config, gateway: ToyServer, kind: Kind
) -> None:
    """It is opened for the notification."""
    payment = till.create()
    gateway.gateway.pay(payment.order_number)
    other = Till(kind, config, plugins())
    other.receive(*gateway.notification(payment.order_number))
    other.shutdown()
    assert Shaped.verified_by == ["token-2"]


def test_notification_that_no_session_can_be_opened_for_is_not_acknowledged(
    till: Till, config: Config, gateway: ToyServer, kind: Kind
) -> None:
    """The provider sends it again; nothing has changed."""
    payment = till.create()
    gateway.gateway.pay(payment.order_number)
    other = Till(kind, config, plugins())
    gateway.set_faults(lose_reply=1, path="/token")
    with pytest.raises(NotSent):
        other.receive(*gateway.notification(payment.order_number))
    assert other.get(payment.id) == payment
    other.receive(*gateway.notification(payment.order_number))
    other.shutdown()
    assert till.query(payment).status is Status.PAID


def test_notification_newer_than_the_session_is_verified_by_another(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates are rotated: a session a minute old is opened anew, but one a minute at most."""
    payment = till.create()
    gateway.gateway.pay(payment.order_number)
    notification = gateway.notification(payment.order_number)
    Shaped.refused_by = {"token-1"}
    with pytest.raises(NotAuthentic):
        till.receive(*notification)
    assert tokens_made(gateway) == 1
    later = time.monotonic() + 61.0
    monkeypatch.setattr(timing, "time", _At(later))
    till.receive(*notification)
    assert Shaped.verified_by == ["token-1", "token-1", "token-2"]
    Shaped.refused_by = {"token-2"}
    for _ in range(3):
        with pytest.raises(NotAuthentic):
            till.receive(*notification)
    assert tokens_made(gateway) == 2


class _At:
    """A clock that stands still."""

    def __init__(self, at: float) -> None:
        self._at = at

    def monotonic(self) -> float:
        return self._at


# --- secrecy ------------------------------------------------------------------------------------------

CANARY = "CANARY/tok+en==1"


class Tokens(msgspec.Struct, frozen=True):
    """A session of several things, its secrets inside."""

    access: Secret
    more: dict[str, Any]


@pytest.mark.parametrize("where", ["error", "refusal", "problem", "path"])
def test_token_is_shown_nowhere(
    till: Till,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    """A plugin that puts a token into an error or into words: neither log, error nor ledger has it."""
    caplog.set_level(logging.DEBUG)
    seen: list[Attempt] = []

    def leaking(_provider: SessionToyProvider, order: Any) -> Flow[Any]:
        seen.append(order.attempt)
        token = order.attempt.session.access.reveal()
        if where == "path":
            yield Request(method="POST", path=f"/orders?token={token}")
        yield Request(method="POST", path="/query", body=b'{"numbers": []}', headers={"x": token})
        if where == "error":
            raise ValueError(f"bad token {token}")
        if where == "refusal":
            return Rejected(failure=Failure(code="no", message=f"{token} is no token"))
        return Unknown(problem=f"{token} was not taken")

    session = Session(value=Tokens(Secret(CANARY), {"list": [Secret(CANARY)]}))
    Shaped.opening = returning(Done(session))
    monkeypatch.setattr(Shaped, "create", leaking)
    try:
        said = [repr(till.create())]
    except Exception as error:
        said = [repr(error), str(error)]
    said += [caplog.text, repr(seen), repr(session), repr(till.list())]
    said += [repr(till.events(payment)) for payment in till.list()]
    said += recorded(config)
    assert seen
    assert not [text for text in said if "CANARY" in text]


def test_account_in_session_is_not_the_next_callers(config: Config, gateway: ToyServer) -> None:
    """A session opened by a call with a scanned code serves others without that code."""
    with Client(config, plugins=plugins()) as pay:
        accounts, sessions = pay._core.accounts, pay._core.commands._attempts.sessions
        account = accounts.get()
        coded = account.with_code(Secret("scanned-code-1234"))
        deadline = timing.Deadline(2.0)
        within = pay._runner.run(sessions.entered(coded, deadline))
        other = pay._runner.run(sessions.entered(account, deadline))
    assert within.auth_code is not None
    assert other.auth_code is None
    assert Secret("scanned-code-1234") not in other.secrets
    assert other.session == within.session
    assert tokens_made(gateway) == 1


def test_not_now_from_a_provider_without_sessions_is_as_ever(kind: Kind, tmp_path: Path) -> None:
    """A refused session where there is none puts the request off."""
    with toy_server(ToyGateway(key=KEY)) as server:
        config = toy_config(server.url, f"sqlite:///{tmp_path / 'x.db'}", timeout_s=2.0)
        till = Till(kind, config, toy_plugins())

        def refusing_session(_order: Any) -> Flow[Any]:
            yield Request(method="POST", path="/query", body=b'{"numbers": []}')
            return NotNow(problem="no", is_session_refused=True)

        till._client._core.accounts.get().provider.create = refusing_session
        with pytest.raises(NotSent):
            till.create()
        assert server.counts().requests == {"/query": 1}
        till.shutdown()
