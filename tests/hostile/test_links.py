"""Links in replies: shown when safe, never fetched, and refused otherwise."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from paycore import Status
from paycore.domain.action import Redirect
from paycore.domain.observation import PaymentObservation
from paycore.domain.provider import Created, Done, Secret, Unknown
from paycore.domain.safe_text import url_problem
from paycore.domain.wire import Flow
from paycore.engine.accounts import Account
from paycore.engine.answers import reading
from paycore.engine.checks import CreateFields, check_request, create_request
from paycore.errors import IncompleteReply, InvalidField
from paycore.testing.toy import ToyProvider, ToySettings
from tests.engine.tills import HKD_88, Kind
from tests.hostile.conftest import OpenShop
from tests.hostile.gateway import Answer
from tests.hostile.replies import body, fields, raw, whole
from tests.hostile.shops import Provider, Shop
from tests.hostile.test_asking import UNSAFE_URLS

PROVIDERS: tuple[Provider, ...] = ("toy", "qfpay-alipay")
KINDS: tuple[Kind, ...] = ("sync", "async")
URL_FIELD = {"toy": "url", "qfpay-alipay": "pay_url"}


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A port of this machine that must not be called, and what it received."""
    heard: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    heard.append(connection.recv(65536))
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard
        time.sleep(0.05)
        server.shutdown(socket.SHUT_RDWR)


def linked(shop: Shop, url: object) -> Answer:
    """An accepted order with this link."""
    return body(fields(**{URL_FIELD[shop.provider]: url}))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_unsafe_link_never_becomes_a_redirect(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """The order is known, its link is not returned, and calling again recovers a safe one."""
    shop = open_shop(provider)
    # The plugin has the rule as well; the toy stands for those that do not.
    for number, url in enumerate(UNSAFE_URLS if provider == "qfpay-alipay" else UNSAFE_URLS[1::4]):
        with subtests.test(url=ascii(url)[:40]):
            not_handed_out(shop, url, f"order-{number}")
    shop.check_ledger()


def not_handed_out(shop: Shop, url: str, reference: str = "order-1") -> None:
    """An accepted order with this link, which must not be returned."""
    with (
        shop.gateway.answering(linked(shop, url), shop.paths["create"]),
        pytest.raises(IncompleteReply) as raised,
    ):
        shop.create(reference)
    assert not url or url not in str(raised.value)
    payment = shop.till.get(raised.value.payment_id or "")
    assert (payment.status, payment.uncertain, payment.action) == (Status.PENDING, True, None)
    again = shop.create(reference)
    assert isinstance(again.action, Redirect)
    assert url_problem(again.action.url) is None
    assert shop.states(again).count("pending") == 1
    assert not url or url not in repr(shop.till.events(payment)), "not even in the history"


def test_live_account_takes_no_url_of_this_machine() -> None:
    """Loopback links and URLs are for sandbox accounts only."""
    provider = ToyProvider(ToySettings(key=(Secret("toy"),)))
    account = Account(
        name="toy",
        provider=provider,
        provider_name="toy",
        capabilities=provider.capabilities,
        mode="live",
        base_urls={"": "https://live.toy.example"},
        deadline=timedelta(seconds=1),
    )
    order: dict[str, Any] = {"reference": "r", "amount": HKD_88, "method": "toy", "channel": "web"}
    check_request(
        create_request(cast("CreateFields", {**order, "return_url": "https://shop.example/"})), account
    )
    with pytest.raises(InvalidField, match="return_url"):
        check_request(
            create_request(cast("CreateFields", {**order, "return_url": "http://127.0.0.1:8700/"})), account
        )
    seen = PaymentObservation(number="N", status=Status.PENDING)
    for url, expected in (
        ("http://127.0.0.1/pay", Unknown),
        ("https://localhost/", Unknown),
        ("https://a.example", Done),
    ):
        told = Done(Created(observation=seen, action=Redirect(url=url)))
        assert type(outcome_of(reading(account, partial(told_at_once, told), Created))) is expected


def told_at_once(outcome: object) -> Flow[Any]:
    """A flow without requests."""
    yield from ()
    return outcome


def outcome_of(flow: Flow[Any]) -> Any:
    """The result of such a flow."""
    with pytest.raises(StopIteration) as stopped:
        next(flow)
    return stopped.value.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_link_of_a_reply_is_shown_and_never_fetched(
    open_shop: OpenShop, provider: Provider, kind: Kind
) -> None:
    """A loopback link is returned unchanged, and never called."""
    with listener() as (place, heard):
        shop = open_shop(provider, kind)
        url = f"http://{place}/pay?a=b"
        with shop.gateway.answering(linked(shop, url), shop.paths["create"]):
            payment = shop.create(return_url=f"http://{place}/back", notify_url=f"http://{place}/notify")
        assert isinstance(payment.action, Redirect)
        assert payment.action.url == url
        shop.pay(payment)
        shop.till.query(payment)
        shop.till.refund(payment)
    calls = [call for call in heard if b"/notify" not in call]
    assert calls == [], "only the sandbox itself calls a notify_url"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_redirect_of_a_reply_is_not_followed(
    open_shop: OpenShop, provider: Provider, kind: Kind, status: int
) -> None:
    """Neither to this machine nor to 169.254.169.254; the order is queried instead."""
    with listener() as (place, heard):
        shop = open_shop(provider, kind)
        moved = raw(lambda honest: whole(honest, status=f"{status} Moved", location=f"http://{place}/x"))
        with shop.gateway.answering(moved, shop.paths["create"]):
            payment = shop.create()
        assert payment.status is Status.UNKNOWN
    assert heard == []
    assert shop.gateway.asked(shop.paths["create"]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_proxies_and_netrc_of_the_environment_are_not_used(
    open_shop: OpenShop, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy and no credentials of other programs are used."""
    with listener() as (place, heard):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{place}")
        monkeypatch.setenv("no_proxy", "")
        shop = open_shop("toy", kind)
        netrc = shop.config.path.absolute().with_name(".netrc")
        netrc.write_text("default login user password hunter2\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        shop.paid()
    assert heard == []
    assert len(shop.gateway.heard) == 2
    assert not any(
        {"authorization", "proxy-authorization", "cookie"} & set(one.headers) for one in shop.gateway.heard
    )
    assert {one.headers["accept-encoding"] for one in shop.gateway.heard} == {"identity"}


@pytest.mark.parametrize("kind", KINDS)
def test_cookies_of_a_reply_are_not_sent_back(open_shop: OpenShop, kind: Kind) -> None:
    """A gateway can't track its callers or make their requests grow."""
    shop = open_shop("qfpay-alipay", kind)
    marked = raw(lambda honest: whole(honest, set_cookie="a=b; path=/; expires=" + "9" * 1000))
    with shop.gateway.answering(marked, "/trade/v1/payment"):
        payment = shop.create()
    shop.till.query(payment)
    assert not [one for one in shop.gateway.heard if "cookie" in one.headers]
