"""The example provider of bank transfers: what is received is counted exactly, whatever the payer writes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from examples.providers import bank_transfer
from examples.providers.bank_transfer import PAGE, TOKEN, BankGateway, BankTransfer, Settings
from paycore import Config, Instructions, Money, Payment, Status
from paycore.domain.payment import ReviewReason
from paycore.engine.config import AccountConfig
from paycore.engine.plugins import Plugins
from paycore.errors import AccountRefused, NotSent, NotSupported, ProviderError
from paycore.plugin import Attempt, Done, Found, OrderRef, Response, Secret
from paycore.sandbox.scripted import ScriptedSandbox
from paycore.sandbox.server import SandboxServer
from paycore.testing import Subject, conformance_of
from paycore.testing.twins import TWINS

EUR_88 = Money("88.00", "EUR")
Open = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """The bank, on a socket."""
    with SandboxServer(ScriptedSandbox(BankGateway)) as server:
        yield server


@pytest.fixture
def bank(server: SandboxServer) -> BankGateway:
    """What the bank has."""
    return cast("BankGateway", server.gateway)


@pytest.fixture(params=["sync", "async"])
def open_shop(request: pytest.FixtureRequest, server: SandboxServer, tmp_path: Path) -> Iterator[Open]:
    """Opens clients on one ledger."""
    opened: list[Any] = []

    def open_shop(*, token: str = TOKEN) -> Any:
        account = AccountConfig(
            name="bank",
            provider="bank-transfer",
            mode="sandbox",
            base_url=server.url,
            timeout_s=5.0,
            default_method="bank_transfer",
            settings={"token": token},
        )
        ledger = f"sqlite:///{tmp_path / 'paycore.db'}"
        config = Config(
            path=Path("paycore.toml"), ledger=ledger, default_account="bank", accounts={"bank": account}
        )
        plugins = Plugins(extra=[("bank-transfer", bank_transfer)])
        opened.append(TWINS[request.param](config, plugins))
        return opened[-1]

    yield open_shop
    for shop in opened:
        shop.shutdown()


@pytest.fixture
def shop(open_shop: Open) -> Any:
    """One client."""
    return open_shop()


def order(shop: Any, reference: str = "order-1", amount: Money = EUR_88, **fields: Any) -> Payment:
    payment: Payment = shop.create(reference=reference, amount=amount, channel="web", **fields)
    return payment


def test_payer_is_shown_where_to_transfer_to_and_the_money_is_found(shop: Any, bank: BankGateway) -> None:
    """Holder, IBAN and reference are shown; the line that came is the charge."""
    payment = order(shop)
    shown = {
        "holder": "Example Shop Ltd",
        "iban": "DE89370400440532013000",
        "reference": payment.order_number,
    }
    assert (payment.status, payment.action) == (Status.PENDING, Instructions(fields=shown))
    assert shop.query(payment.id).status is Status.PENDING
    bank.pay(payment.order_number)
    paid = shop.query(payment.id)
    assert (paid.status, paid.paid_minor, paid.review_reasons) == (Status.PAID, 8800, ())
    assert [charge.provider_id for charge in paid.charges] == [bank.lines[0][1]["id"]]


def test_what_a_transfer_has_not_is_ignored_or_refused(shop: Any, bank: BankGateway) -> None:
    """Fields that only inform are left out and named; closing and refunding are refused before anything is sent."""
    url = "https://shop.example/"
    payment = order(shop, subject="Tea", return_url=url, notify_url=url, expires_in_s=300)
    assert payment.ignored == ("expires_in_s", "notify_url", "return_url", "subject")
    with pytest.raises(NotSupported):
        shop.close(payment.id)
    bank.pay(payment.order_number)
    assert shop.query(payment.id).status is Status.PAID
    with pytest.raises(NotSupported):
        shop.refund(payment.id, reference="back-1")


DIFFERS, TWICE, BACK = ReviewReason.AMOUNT_DIFFERS, ReviewReason.PAID_TWICE, ReviewReason.CHARGED_BACK


@pytest.mark.parametrize(
    ("lines", "paid_minor", "back_minor", "reasons"),
    [
        ("88.00", 8800, 0, ()),
        ("88", 8800, 0, ()),
        ("50.00", 0, 0, (DIFFERS,)),
        ("50.00, 38.00", 8800, 0, ()),
        ("50.00, 38.01", 0, 0, (DIFFERS,)),
        ("88.01", 0, 0, (DIFFERS,)),
        ("87.99", 0, 0, (DIFFERS,)),
        ("50.00, 50.00", 0, 0, (DIFFERS,)),
        ("88.00, 88.00", 17600, 0, (TWICE,)),
        ("50.00, 88.00, 38.00", 17600, 0, (TWICE,)),
        ("50.00, 88.00", 8800, 0, (DIFFERS,)),
        ("50.00, -50.00", 0, 0, ()),
        ("50.00, -50.00, 88.00", 8800, 0, ()),
        ("88.00, -88.00", 8800, 8800, (BACK,)),
        ("88.00, -20.00", 8800, 2000, (BACK,)),
        ("88.00, 50.00, -50.00", 8800, 0, ()),
        ("-88.00", 0, 0, ()),
        ("88.00 HKD", 0, 0, (DIFFERS,)),
        ("88.00 HKD, 88.00", 8800, 0, (DIFFERS,)),
        ("8.8e1", 0, 0, (ReviewReason.AMOUNT_UNREADABLE,)),
        ("88.00 XXX", 0, 0, (ReviewReason.AMOUNT_UNREADABLE,)),
    ],
)
def test_what_is_received_is_counted_exactly(
    shop: Any,
    bank: BankGateway,
    lines: str,
    paid_minor: int,
    back_minor: int,
    reasons: tuple[ReviewReason, ...],
) -> None:
    """The amount pays, in one transfer or several; any other sum pays nothing, and what differs is for a person."""
    payment = order(shop)
    for line in lines.split(", "):
        amount, _, currency = line.partition(" ")
        direction = "debit" if amount.startswith("-") else "credit"
        bank.transfer(payment.order_number, amount.lstrip("-"), currency or "EUR", direction=direction)
    for _ in range(2):  # asked again, the same is known
        payment = shop.query(payment.id)
        assert (payment.paid_minor, payment.charged_back_minor) == (paid_minor, back_minor)
        assert (payment.status is Status.PAID) is (paid_minor > 0)
        assert payment.review_reasons == reasons


def test_rest_that_comes_later_pays(shop: Any, bank: BankGateway) -> None:
    """A part is for a person to see; once the rest has come, the order is paid, and the charge stays the same."""
    payment = order(shop)
    bank.transfer(payment.order_number, "50.00", "EUR")
    assert shop.query(payment.id).review_reasons == (DIFFERS,)
    bank.transfer(payment.order_number, "38.00", "EUR")
    paid = shop.query(payment.id)
    assert (paid.status, paid.paid_minor, len(paid.charges)) == (Status.PAID, 8800, 1)
    bank.transfer(payment.order_number, "1.00", "EUR")
    assert shop.query(payment.id).charges == paid.charges


@pytest.mark.parametrize(
    ("amount", "line"), [(Money("500", "JPY"), "500"), (Money("1.23", "HKD"), "1.23")], ids=["JPY", "HKD"]
)
def test_amounts_are_those_of_their_currency(shop: Any, bank: BankGateway, amount: Money, line: str) -> None:
    """No decimals for yen, two for dollars."""
    payment = order(shop, amount=amount)
    bank.pay(payment.order_number)
    assert bank.lines[-1][1]["amount"] == line
    assert shop.query(payment.id).paid_minor == amount.minor


@pytest.mark.parametrize(
    "write",
    [
        lambda number: number.lower(),
        lambda number: " ".join(number[at : at + 4] for at in range(0, 26, 4)),
        lambda number: f"Invoice {number[:13]}-{number[13:]}, thank you",
        lambda number: number.replace("0", "O").replace("1", "l"),
        lambda number: f"+REF/{number}/ EUR 88",
    ],
    ids=["small", "grouped", "in words", "look-alikes", "marked"],
)
def test_payers_write_references_as_they_like(
    shop: Any, bank: BankGateway, write: Callable[[str], str]
) -> None:
    """Case, spaces, dashes and letters that look like digits do not count."""
    payment = order(shop)
    bank.transfer(write(payment.order_number), "88.00", "EUR")
    assert shop.query(payment.id).status is Status.PAID


@pytest.mark.parametrize("write", [lambda _: "", lambda _: "rent", lambda number: number[:-1] + "*"])
def test_lines_without_the_reference_are_nobodys(
    shop: Any, bank: BankGateway, write: Callable[[str], str]
) -> None:
    """The amount alone proves nothing."""
    payment = order(shop)
    bank.transfer(write(payment.order_number), "88.00", "EUR")
    found = shop.query(payment.id)
    assert (found.status, found.review_reasons) == (Status.PENDING, ())


def test_line_that_names_two_orders_pays_neither(shop: Any, bank: BankGateway) -> None:
    """One transfer is not counted twice, whether it has the amount of one order or of both: a person divides it."""
    orders = [order(shop, f"order-{n}") for n in range(2)]
    for amount in ("88.00", "176.00"):
        bank.transfer(" and ".join(one.order_number for one in orders), amount, "EUR")
    for one in orders:
        found = shop.query(one.id)
        assert (found.status, found.paid_minor) == (Status.PENDING, 0)
        assert found.review_reasons == (ReviewReason.AMOUNT_UNREADABLE,)


def test_statement_is_read_page_by_page(shop: Any, bank: BankGateway) -> None:
    """The line may be on any of the first pages; where there are more, nothing is concluded from those not read."""
    payment, late = order(shop), order(shop, "order-2")
    for number in range(3 * PAGE):
        bank.transfer(f"rent {number}", "88.00", "EUR")
    bank.pay(payment.order_number)
    assert shop.query(payment.id).status is Status.PAID
    for number in range(4 * PAGE):
        bank.transfer(f"rent {number}", "88.00", "EUR")
    bank.pay(late.order_number)
    assert shop.query(late.id).status is Status.PENDING


def test_one_statement_tells_of_several_orders(shop: Any, bank: BankGateway) -> None:
    """A worker's pass asks once for four orders."""
    orders = [order(shop, f"order-{n}") for n in range(4)]
    for one in orders:
        bank.pay(one.order_number)
    list(shop.resolve())
    assert [shop.get(one.id).status for one in orders] == [Status.PAID] * 4
    assert bank.stats()["requests"]["/v1/statement"] == 1


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply", "http_500", "html", "truncated_json"])
def test_lost_creation_is_found_and_shown(shop: Any, bank: BankGateway, fault: str) -> None:
    """Whatever became of the request: the bank expects the money once, and the payer is shown where to pay."""
    bank.faults.add(fault)
    payment = order(shop)
    for _ in range(50):
        if payment.action is not None:
            break
        payment = order(shop)
    assert isinstance(payment.action, Instructions)
    assert len(bank.show_order(payment.order_number)["orders"]) == 1


def test_query_shows_where_to_pay_after_a_lost_reply(shop: Any, bank: BankGateway) -> None:
    """The bank is asked for what it expects, and nothing is sent a second time."""
    bank.faults.add("lose_reply")
    payment = order(shop)
    if payment.action is None:
        payment = shop.query(payment.id)
    assert isinstance(payment.action, Instructions)
    assert bank.requests == {payment.order_number: 1}


def test_query_proves_that_a_lost_request_never_arrived() -> None:
    """What the bank does not expect was never asked for; it is said so, and nothing else is read for it."""
    ref = OrderRef(
        kind="payment",
        number="N1",
        provider_id=None,
        begun_at=datetime(2026, 11, 28, tzinfo=UTC),
        attempt=Attempt(sent_at=datetime(2026, 11, 28, tzinfo=UTC), nonce="n"),
        amount=EUR_88,
        method="bank_transfer",
        channel="web",
    )
    flow = BankTransfer(Settings(token=Secret(TOKEN))).query([ref])
    assert next(flow).path == "/v1/expected/N1"
    with pytest.raises(StopIteration) as ended:
        flow.send(Response(status=404, body=b'{"error": "not_expected"}'))
    assert ended.value.value == Done(Found(absent=frozenset({"N1"})))


def test_refusals_say_who_acts(open_shop: Open, bank: BankGateway) -> None:
    """A wrong token is the operator's to mend; a bank that is busy says when; anything else proves nothing."""
    with pytest.raises(AccountRefused):
        order(open_shop(token="wrong"))
    shop = open_shop()
    payment = order(shop)
    assert payment.status is Status.PENDING
    bank.faults.add("http_429", times=20)
    with pytest.raises(NotSent):
        shop.query(payment.id)
    bank.faults.clear()
    bank.faults.add("http_502", times=20)
    with pytest.raises(ProviderError):
        shop.query(payment.id)
    assert shop.get(payment.id).status is Status.PENDING


test_conformance = conformance_of(Subject(provider=BankTransfer, sandbox=ScriptedSandbox(BankGateway)))
