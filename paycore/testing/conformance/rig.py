"""What a check works with: the provider's sandbox on a socket, a proxy that breaks, and the real core."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from paycore.domain.action import Action
from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Payment, Status
from paycore.domain.provider import (
    Attempt,
    CaptureOrder,
    CaptureReply,
    Created,
    CreateOrder,
    Done,
    Found,
    FullProvider,
    Mode,
    NotNow,
    OrderRef,
    Product,
    RefundOrder,
    Rejected,
    Secret,
    Session,
    Unknown,
)
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Request, Response
from paycore.engine.accounts import Account, Accounts
from paycore.engine.config import Config, parse_config, resolve_settings
from paycore.engine.contract import request_problem
from paycore.engine.orders import new_id
from paycore.engine.plugins import ENTRY_POINTS, Plugins
from paycore.engine.timing import Deadline
from paycore.engine.transport import Sender
from paycore.errors import InvalidField, MaybeSent, NotSent, PaycoreError, PluginError
from paycore.hookspecs import hookimpl
from paycore.ledger.clock import utc_now, whole_ms
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.sandbox.api import Controls, Gateway, SandboxOptions
from paycore.sandbox.server import SandboxServer
from paycore.testing.conformance.check import Failed, NotApplicable, require
from paycore.testing.conformance.notification_receiver import (
    ReceivedNotification,
    Receiver,
    in_background,
    receiving,
)
from paycore.testing.conformance.proxy import FaultProxy
from paycore.testing.conformance.subject import Subject
from paycore.testing.twins import TWINS

T = TypeVar("T")

WHATEVER = (Exception, SystemExit, asyncio.CancelledError)
"""What a stranger's code may raise: everything but Ctrl-C and the guard of purity."""

SAID_MAX = 200
"""Characters of an error that are repeated."""

_LIBRARIES = sys.stdlib_module_names | {"anyio", "msgspec", "starlette", "uvicorn"}

ACCOUNT = "kit"
CONFIG_FILE = "paycore.toml"
TIMEOUT_S = 2.0
"""The deadline of a call."""

MINOR = 7391
"""The amount of an order, in minor units, where a product takes it: no other number looks like it."""

COINS = (1, 10, 100, 1000)
"""An amount is a multiple of one of these, in minor units, where a company has no smaller coin."""

CURRENCIES = ("EUR", "USD", "HKD", "GBP")
"""What an order is in, where the product takes it."""

LIFETIME_S = 3600
"""How long the payer has, where that can be said."""

RESTS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""How far the clocks are set ahead between two tries of a caller who tries again."""

_OWN = ("paycore.testing.conformance", "paycore.engine", "paycore.domain")

NOTIFIED_S, SILENT_S = 5.0, 0.5
"""How long a sandbox may take to send a notification, in real time; and one that has sent none in that time before."""

_SILENT: deque[object] = deque(maxlen=8)


class PlacedOrder(msgspec.Struct, kw_only=True):
    """
    An order at the gateway, made by the provider's own flow; `seen` is what was observed of it last.

    `lasts_s` is its lifetime in seconds, None where it was not told.
    """

    product: Product
    order: CreateOrder
    seen: PaymentObservation
    action: Action | None
    ids: dict[str, str]
    lasts_s: int | None = None

    def ref(self, attempt: Attempt) -> OrderRef:
        """The order as a query, a refund, a capture or a close is given it."""
        return OrderRef(
            kind="payment",
            number=self.order.number,
            provider_id=self.seen.provider_id,
            begun_at=self.order.begun_at,
            attempt=attempt,
            amount=self.order.amount,
            method=self.order.method,
            channel=self.order.channel,
            ids=self.ids,
        )


class Rig:
    """
    One sandbox, opened for one check. Made by `opened`.

    `url` is the gateway's, through the `proxy`; `controls`, `gateway` and `receiver` are what a person at the gateway
    has. `account` is the core's, `provider` was made of its settings. Both clocks, the sandbox's and the ledger's, are
    set ahead by `advance`; nothing waits for real.
    """

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        url: str,
        gateway: Gateway,
        proxy: FaultProxy,
        receiver: Receiver,
    ) -> None:
        self.subject = subject
        self.folder = folder
        self.url = url
        self.gateway = gateway
        self.controls: Controls = gateway.controls
        self.proxy = proxy
        self.receiver = receiver
        self.plugins = _only(subject.provider)
        self.account = self.account_with({})
        self.logged: list[logging.LogRecord] = []
        self._sender = Sender(url)
        self._sent = 0
        self.is_paced = True
        """Whether flows by themselves keep to the declared budget."""
        self._ahead = timedelta()
        self._numbers = itertools.count(1)
        self._session: Any = None
        self._has_session = False
        self._stack = ExitStack()

    # --- the account -------------------------------------------------------------------------------------

    @property
    def provider(self) -> FullProvider:
        """The provider, made of the account's settings."""
        return cast("FullProvider", self.account.provider)

    @property
    def products(self) -> tuple[Product, ...]:
        """What the account offers."""
        return self.account.capabilities.products

    @property
    def settings(self) -> dict[str, Any]:
        """The account's settings, as in paycore.toml."""
        return {**self.gateway.settings, **self.subject.settings}

    def config(self, settings: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S) -> Config:
        """A configuration with this one account; `settings` replace some of its own."""
        return self.config_of({**self.settings, **(settings or {})}, timeout_s=timeout_s)

    def config_of(
        self, settings: Mapping[str, Any], *, mode: Mode = "sandbox", timeout_s: float = TIMEOUT_S
    ) -> Config:
        """A configuration with one account of these settings; it is at the sandbox, or where `mode` leads to."""
        table = {"provider": self.subject.name, "mode": mode, "timeout_s": timeout_s}
        place = {"base_url": self.url} if mode == "sandbox" else {}
        accounts = {ACCOUNT: {**table, **place, **settings}}
        document = {"ledger": "sqlite:///kit.db", "default_account": ACCOUNT, "accounts": accounts}
        return parse_config(document, self.folder / CONFIG_FILE)

    def account_with(self, settings: Mapping[str, Any]) -> Account:
        """The account, with these settings in the place of some of its own."""
        return self.account_of({**self.settings, **settings})

    def account_of(self, settings: Mapping[str, Any]) -> Account:
        """An account with these settings and no others."""
        return Accounts(self.config_of(settings), self.plugins).get(ACCOUNT)

    def read_settings(self, settings: Mapping[str, Any] | None = None) -> msgspec.Struct:
        """The account's settings as the provider's own struct; `settings` replace some of them."""
        config = self.config(settings)
        return resolve_settings(config.accounts[ACCOUNT], self.subject.provider.info, config.path)

    def request_problem(self, request: Request) -> str | None:
        """Why the core would not send this request, None where it would."""
        return request_problem(self.account, request)

    # --- time --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time now, as the ledger has it."""
        return whole_ms(utc_now() + self._ahead)

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock and the ledger's ahead."""
        self._ahead += timedelta(seconds=seconds)
        self.gateway.clock.advance(seconds)

    # --- orders ------------------------------------------------------------------------------------------

    def product(self, wanted: Callable[[Product], bool], what: str) -> Product:
        """The first product of that kind; `NotApplicable` where there is none."""
        found = next(filter(wanted, self.products), None)
        if found is None:
            raise NotApplicable(f"no product of this account {what}")
        return found

    def arguments(self, product: Product, **changes: Any) -> dict[str, Any]:
        """Arguments of `create()` for a new payment: what the product requires, and what helps to test it."""
        made_up = {
            "subject": "Two tickets! #5",
            "return_url": "https://shop.example/thanks",
            "notify_url": self.receiver.url,
            "payer_id": "payer-0001",
            "auth_code": "281234567890123456",
            "device_id": "till-1",
        }
        if product.expires_in_s is not None:
            shortest, longest = product.expires_in_s
            made_up["expires_in_s"] = min(max(LIFETIME_S, shortest), longest)  # type: ignore[assignment]
        wanted = product.required | (product.optional & {"notify_url", "expires_in_s", "return_url"})
        fields = {
            "reference": f"kit-{next(self._numbers):04d}",
            "method": product.method,
            "channel": product.channel,
            **{name: made_up[name] for name in made_up if name in wanted},
            **self.given(product),
            **changes,
        }
        return {"amount": self._amount(product, fields), **fields}

    def _amount(self, product: Product, fields: Mapping[str, Any]) -> Money:
        """An amount that the product takes: rounded where `check` refuses it for its coins."""
        currency = next((one for one in CURRENCIES if one in product.currencies), min(product.currencies))
        least, largest = product.currencies[currency]
        rounded = [Money.from_minor(min(max(MINOR // c * c, least), largest), currency) for c in COINS]
        for amount in rounded if hasattr(self.provider, "check") and "amount" not in fields else ():
            try:
                self.provider.check(self._ordered({**fields, "amount": amount}))
            except InvalidField as refusal:
                if refusal.field == "amount":
                    continue
            except Exception as error:
                raise Failed(
                    f"`check` raised {type(error).__name__} at {place_of(error)}: {error}",
                    "let `check` raise InvalidField with the field, the value's size and the bound, and nothing else",
                ) from error
            return amount
        return rounded[0]

    def given(self, product: Product) -> Mapping[str, Any]:
        """The arguments of `create()` that only the sandbox knows for this product."""
        told: Mapping[str, Any] = getattr(self.gateway, "order_arguments", _nothing)(
            product.method, product.channel
        )
        return told

    def create_order(self, product: Product, **changes: Any) -> CreateOrder:
        """An order as the core gives it to `create`; `changes` are arguments of `create()`."""
        return self._ordered(self.arguments(product, **changes))

    def _ordered(self, fields: Mapping[str, Any]) -> CreateOrder:
        code = fields.get("auth_code")
        secret = {"auth_code": Secret(code)} if isinstance(code, str) else {}
        return CreateOrder(
            number=new_id(), begun_at=self.now(), attempt=self.attempt(), **{**fields, **secret}
        )

    def place(self, product: Product, **changes: Any) -> PlacedOrder:
        """A new order at the gateway; `Failed` where its `create` does not make one."""
        order = self.create_order(product, **changes)
        return self.placed(product, order, self.converse(lambda: self.provider.create(order)))

    def accepted(self, product: Product, order: CreateOrder, what: str, advice: str) -> PlacedOrder:
        """This order at the gateway; `Failed` where it is not made: with `advice` where the company refuses it."""
        self._require_checked(order, what)
        outcome = self.converse(lambda: self.provider.create(order))
        try:
            return self.placed(product, order, outcome)
        except Failed as failed:
            is_refused = isinstance(outcome, Rejected)
            raise Failed(f"{what}: {failed.problem}", advice if is_refused else failed.advice) from failed

    def _require_checked(self, order: CreateOrder, what: str) -> None:
        """`Failed` where the provider's own `check` refuses the order."""
        if not hasattr(self.provider, "check"):
            return
        try:
            self.provider.check(order)
        except InvalidField as error:
            raise Failed(
                f"{order.method}/{order.channel}: `check` refuses an order {what}: {error}",
                "let `check` refuse only what the company's manual refuses; shorten texts, and require what is needed",
            ) from error

    def placed(self, product: Product, order: CreateOrder, outcome: Any) -> PlacedOrder:
        """The order that this outcome of `create` speaks of; `Failed` where it speaks of none."""
        if not (isinstance(outcome, Done) and isinstance(outcome.value, Created)):
            raise Failed(
                f"create of {product.method}/{product.channel} returned {said(outcome)} from its own sandbox",
                "return Done(Created(...)) for an order that was accepted; give the arguments it needs by the"
                " gateway's order_arguments",
            )
        created = outcome.value
        return PlacedOrder(
            product=product,
            order=order,
            seen=created.observation,
            action=created.action,
            ids=dict(created.observation.ids),
            lasts_s=created.expires_in_s,
        )

    def look(self, placed: PlacedOrder) -> PaymentObservation:
        """Query the order; `Failed` where it is not found under its number."""
        outcome = self.converse(lambda: self.provider.query([placed.ref(self.attempt())]))
        found = (
            outcome.value.observations
            if isinstance(outcome, Done) and isinstance(outcome.value, Found)
            else ()
        )
        seen = next((one for one in found if one.number == placed.order.number), None)
        if not isinstance(seen, PaymentObservation):
            raise Failed(
                f"query of an order that exists returned {said(outcome)}",
                "return Done(Found(observations=...)) with one observation under the number that was asked about",
            )
        placed.seen = seen
        placed.ids = {**seen.ids, **placed.ids}
        return seen

    def pay(self, placed: PlacedOrder) -> PaymentObservation:
        """Have the payer pay, or agree, and query the order."""
        if placed.seen.status is Status.PENDING:
            self.controls.pay(placed.order.number)
        return self.look(placed)

    def paid(self, product: Product, **changes: Any) -> PlacedOrder:
        """A new order that was paid: captured too, where its product captures."""
        placed = self.place(product, **changes)
        if self.pay(placed).status is Status.AUTHORIZED:
            outcome = self.capture(placed, placed.order.amount.minor)
            require(
                isinstance(outcome, Done),
                f"capture of an authorized order returned {said(outcome)}",
                "return Done with the order's observation once the money is taken",
            )
            self.look(placed)
        require(
            placed.seen.status is Status.PAID,
            f"an order that its payer paid is {placed.seen.status}",
            "map the provider's word for a paid order to Status.PAID, or let the sandbox's `pay` take the money",
        )
        return placed

    def capture(self, placed: PlacedOrder, minor: int, number: str | None = None) -> CaptureReply:
        """Capture so much of an authorized order, by its own flow."""
        capture = self.capture_order(placed, minor, number)
        return self.converse(lambda: self.provider.capture(capture))

    def capture_order(self, placed: PlacedOrder, minor: int, number: str | None = None) -> CaptureOrder:
        """A capture of so much, as the core gives it to `capture`."""
        return CaptureOrder(
            number=number or new_id(),
            begun_at=self.now(),
            attempt=self.attempt(),
            amount=Money.from_minor(minor, placed.order.amount.currency),
            order=placed.ref(self.attempt()),
        )

    def refund_order(self, placed: PlacedOrder, minor: int, number: str | None = None) -> RefundOrder:
        """A refund of so much, as the core gives it to `refund`."""
        return RefundOrder(
            number=number or new_id(),
            begun_at=self.now(),
            attempt=self.attempt(),
            amount=Money.from_minor(minor, placed.order.amount.currency),
            order=placed.ref(self.attempt()),
            reason=None,
        )

    def refund_ref(self, refund: RefundOrder, seen: RefundObservation | None) -> OrderRef:
        """A refund as `query` is given it."""
        return OrderRef(
            kind="refund",
            number=refund.number,
            provider_id=None if seen is None else seen.provider_id,
            ids={} if seen is None else seen.ids,
            begun_at=refund.begun_at,
            attempt=self.attempt(),
            amount=refund.amount,
            method=refund.order.method,
            channel=refund.order.channel,
            payment=refund.order,
        )

    # --- flows by themselves -----------------------------------------------------------------------------

    def attempt(self) -> Attempt:
        """A new attempt to send a flow, with the account's session where it has one."""
        if hasattr(self.provider, "open_session") and not self._has_session:
            self._has_session = True
            outcome = self.converse(
                lambda: self.provider.open_session(self.account.attempt(self.now(), new_id()))
            )
            if not (isinstance(outcome, Done) and isinstance(outcome.value, Session)):
                raise Failed(f"open_session returned {said(outcome)}", "return Done(Session(...))")
            self._session = outcome.value.value
        attempt = self.account.attempt(self.now(), new_id())
        return msgspec.structs.replace(attempt, session=self._session)

    def sign(self, body: bytes) -> Mapping[str, str]:
        """Headers that make a reply with this body authentic, where the gateway signs its replies."""
        signed: Mapping[str, str] = getattr(self.gateway, "sign_reply", _unsigned)(body)
        return signed

    def renew_session(self) -> None:
        """Get a new session for the next attempt."""
        self._has_session, self._session = False, None

    def converse(
        self, begin: Callable[[], Flow[T]], answer: Callable[[Request], Response] | None = None
    ) -> T | Unknown:
        """
        Run one flow against the gateway, over HTTP; `Unknown` where no answer came.

        `answer` answers in the gateway's place. `Failed` for what the flow raises, and for more requests than it may
        send.
        """
        flow, response = begin(), None
        answer = answer or self.send
        name = getattr(flow, "__name__", "the flow")
        for _ in range(FLOW_REQUESTS_MAX + 1):
            try:
                request = next(flow) if response is None else flow.send(response)
            except StopIteration as stop:
                result: T = stop.value
                return result
            except WHATEVER as error:
                raise Failed(
                    f"{name} raised {told_of(error)}",
                    "return an outcome for every response: Unknown where it can't be read",
                ) from error
            if not isinstance(request, Request):
                raise Failed(f"{name} yielded {type(request).__name__}", "yield paycore.plugin.Request")
            try:
                response = answer(request)
            except (NotSent, MaybeSent) as error:
                flow.close()
                return Unknown(problem=str(error))
        flow.close()
        raise Failed(
            f"{name} sent more than {FLOW_REQUESTS_MAX} requests",
            "let a flow end; the core asks again",
        )

    def send(self, request: Request) -> Response:
        """Send one request; the clocks are set ahead where the declared budget is used up."""
        if self.is_paced:
            self._pace()
        return self._sender.send(request, Deadline(TIMEOUT_S))

    def _pace(self) -> None:
        budget = self.account.capabilities.budget
        self._sent += 1
        if self._sent % budget.per_minute == 0:
            self.advance(60.0)
        elif self._sent % max(1, budget.per_second - 1) == 0:
            self.advance(1.0)

    # --- clients -----------------------------------------------------------------------------------------

    def client(self, kind: str = "sync", *, timeout_s: float = TIMEOUT_S, ledger: str = "kit.db") -> Any:
        """
        A client, `sync` or `async`, whose verbs are called alike; all are on one ledger unless said otherwise.

        Its ledger has the rig's clock.
        """
        opened = SqliteLedger(self.folder / ledger, clock=self.now)
        client = TWINS[kind](self.config(timeout_s=timeout_s), self.plugins, opened)
        self._stack.callback(client.shutdown)
        return client

    def settled(
        self,
        call: Callable[[], Payment],
        is_so: Callable[[Payment], bool],
        what: str,
        advice: str = "see the requests and replies",
    ) -> Payment:
        """
        What `call` returns once it is so, as a caller would try: again and again, a little later each time.

        `Failed` where it never is; `what` says then what was waited for, `advice` what to change.
        """
        last: object = None
        for rest_s in RESTS_S:
            self.advance(rest_s)
            try:
                payment = call()
            except PluginError as error:
                raise Failed(
                    error.message, "see the error: the plugin does not keep to the contract"
                ) from error
            except PaycoreError as error:
                last = f"{type(error).__name__}: {error}"
                continue
            if is_so(payment):
                return payment
            reviewed = (
                f", under review: {', '.join(payment.review_reasons)}" if payment.review_reasons else ""
            )
            last = f"{payment.status}{', uncertain' if payment.uncertain else ''}{reviewed}"
        raise Failed(f"{what}; after {sum(RESTS_S):.0f} s it was still: {last}", advice)

    def notifications(self, count: int = 1) -> tuple[ReceivedNotification, ...]:
        """The notifications that the sandbox has sent, once there are so many; `NotApplicable` without any."""
        is_silent = any(one is self.subject.sandbox for one in _SILENT)
        arrived = self.receiver.first(count, SILENT_S if is_silent else NOTIFIED_S)
        if not arrived:
            _SILENT.append(self.subject.sandbox)
            raise NotApplicable("the sandbox sends no notifications")
        return arrived

    def close(self) -> None:
        """Close what was opened."""
        self._stack.close()
        self._sender.close()


def _only(provider: type) -> Plugins:
    """The one provider, and no plugin that is installed."""
    installed = {entry.name for entry in metadata.entry_points(group=ENTRY_POINTS)}
    return Plugins(blocked=installed, extra=[("kit", _Offering(provider))])


class _Offering:
    """A plugin that offers the one provider."""

    def __init__(self, provider: type) -> None:
        self._provider = provider

    @hookimpl
    def paycore_register_providers(self) -> list[Any]:
        return [self._provider]


class _ProxiedSandbox:
    """The subject's sandbox, whose gateways are behind a fault proxy."""

    def __init__(self, subject: Subject) -> None:
        self.name = subject.name
        self._sandbox = subject.sandbox

    def open(self, options: SandboxOptions) -> _ProxiedGateway:
        return _ProxiedGateway(self._sandbox.open(options))


class _ProxiedGateway:
    """A gateway behind a fault proxy; everything else is its own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.app = FaultProxy(gateway.app, getattr(gateway, "sign_reply", _unsigned))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


@contextmanager
def opened(subject: Subject, folder: Path) -> Iterator[Rig]:
    """
    A rig with a sandbox of its own, until the end of the block; what paycore logs meanwhile is kept in `logged`.

    The servers stop in the background: they look every tenth of a second whether to, and nobody has to wait for it.
    """
    with receiving() as receiver:
        sandbox: Any = _ProxiedSandbox(subject)
        server = SandboxServer(sandbox, notify_url=receiver.url, settings=subject.sandbox_settings)
        server.start()
        try:
            proxied: Any = server.gateway
            rig = Rig(subject, folder, server.url, proxied.gateway, proxied.app, receiver)
            with _logging_to(rig.logged):
                try:
                    yield rig
                finally:
                    rig.close()
        finally:
            in_background(server.stop)


@contextmanager
def _logging_to(records: list[logging.LogRecord]) -> Iterator[None]:
    """Keep what paycore logs inside the block, and show none of it."""

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler = logging.getLogger("paycore"), Keeping()
    before = (logger.propagate, logger.level)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        logger.setLevel(before[1])  # which also forgets what is known to be on


def said(outcome: object) -> str:
    """An outcome in a few words, for a problem."""
    words = f"{type(outcome).__name__}, which is no outcome"
    match outcome:
        case Done(value=Created(observation=seen)) | Done(value=PaymentObservation() as seen):
            words = f"Done({seen.status})"
        case Done(value=RefundObservation() as seen):
            words = f"Done(refund {seen.status})"
        case Done(value=Found(observations=seen, absent=absent)):
            statuses = [str(one.status) for one in seen] + [f"{len(absent)} absent"] * bool(absent)
            words = f"Done(Found({', '.join(statuses) or 'nothing'}))"
        case Done():
            words = "Done"
        case Rejected(failure=failure, is_duplicate=is_duplicate):
            words = f"Rejected({'duplicate, ' if is_duplicate else ''}{failure.code}: {failure.message})"
        case NotNow(problem=problem) | Unknown(problem=problem):
            words = f"{type(outcome).__name__}({problem})"
        case _:
            pass
    return words


def told_of(error: BaseException) -> str:
    """What was raised, where, and in which words."""
    words = " ".join(str(error).split())[:SAID_MAX]
    return f"{type(error).__name__} at {place_of(error)}" + (f": {words}" if words else "")


def place_of(error: BaseException) -> str:
    """File and line of the innermost frame of an error that is neither paycore's own nor a library's."""
    trace, found = error.__traceback__, "?"
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _LIBRARIES and not name.startswith(_OWN):
            found = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _nothing(method: str, channel: str) -> Mapping[str, Any]:
    del method, channel
    return {}


def _unsigned(body: bytes) -> Mapping[str, str]:
    del body
    return {}
