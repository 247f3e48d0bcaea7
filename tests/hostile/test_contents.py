"""Valid HTTP and JSON with values that must not be trusted: amounts, duplicate names, ids."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from paycore import Payment, RefundStatus, Status
from paycore.ledger import audit, open_ledger
from tests.hostile.conftest import OpenShop
from tests.hostile.gateway import Answer
from tests.hostile.replies import Body, body, fields, more
from tests.hostile.shops import UNANSWERED, Provider, Shop

PROVIDERS: tuple[Provider, ...] = ("toy", "qfpay-alipay")
AMOUNT_FIELD = {"toy": "minor", "qfpay-alipay": "txamt"}
CURRENCY_FIELD = {"toy": "currency", "qfpay-alipay": "txcurrcd"}
LIST_FIELD = {"toy": "records", "qfpay-alipay": "data"}

UNREADABLE: dict[Provider, tuple[str, ...]] = {"toy": (), "qfpay-alipay": ("amount_unreadable",)}
"""A record of QFPay's whose amount can't be read is known by its number; the toy's is no answer at all."""

NO_AMOUNTS: list[Any] = [
    "1E+3000000",
    b"1E+3000000",
    b"1E400",
    b"8.8E3",
    b"8800.0",
    b"-8800",
    b"true",
    b"[8800]",
    b'{"a":8800}',
    b"9" * 5000,
    "9" * 5000,
    "88.00",
    "-8800",
    "+8800",
    "NaN",
    "Infinity",
    "0x2260",
    "8_800",
    "8800\n",
    " 8800",
    "８８００",
    "٨٨٠٠",
    "8800\x00",
]
OTHER_AMOUNTS = [1, 0, 8799, 8801, 880000, 10**14]
NO_CURRENCIES = ["hkd", "XXX", "XAU", "HKDX", "HK", "HKD\x00", "H" * 100_000, 344, ["HKD"]]


def in_records(provider: Provider, change: Body) -> Body:
    """A query's reply with its first record changed."""

    def make(honest: bytes) -> bytes:
        document = json.loads(honest)
        records = document[LIST_FIELD[provider]]
        written = [json.dumps(record).encode() for record in records]
        written[0] = change(written[0])
        document[LIST_FIELD[provider]] = "@"
        return json.dumps(document).encode().replace(b'"@"', b"[" + b",".join(written) + b"]")

    return make


def told(shop: Shop, change: Body) -> tuple[Answer, Answer]:
    """The answers to a creation and a query, with the same change in both."""
    return body(change), body(in_records(shop.provider, change))


def go_through(shop: Shop, change: Body, reference: str = "order-1", reasons: tuple[str, ...] = ()) -> None:
    """A create and a query with this answer: neither is trusted; correct answers resolve it but for `reasons`."""
    creation, record = told(shop, change)
    with shop.gateway.answering(creation, shop.paths["create"]):
        payment = shop.create(reference)
    assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
    pending = shop.till.query(payment)
    shop.pay(pending)
    seen = not_believed(shop, pending, record)
    assert (seen.status, seen.paid_minor, seen.review_reasons) == (Status.PENDING, 0, reasons)
    paid = shop.till.query(pending)
    assert (paid.status, paid.paid_minor, paid.review_reasons) == (Status.PAID, 8800, reasons)


def not_believed(shop: Shop, payment: Payment, record: Answer) -> Payment:
    """The payment after a query with this answer."""
    with shop.gateway.answering(record, shop.paths["query"]):
        try:
            return shop.till.query(payment)
        except UNANSWERED[shop.provider]:
            return shop.till.get(payment.id)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_invalid_amount_is_never_accepted(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """Huge exponents, floats, signs, other digits: no amount, no answer, and no time spent."""
    shop = open_shop(provider)
    # The toy's reader takes 8800.0 for the integer that it is.
    amounts = [amount for amount in NO_AMOUNTS if (provider, amount) != ("toy", b"8800.0")]
    for number, amount in enumerate(amounts):
        with subtests.test(amount=repr(amount)[:20]):
            begun = time.monotonic()
            change = fields(**{AMOUNT_FIELD[provider]: amount})
            go_through(shop, change, f"order-{number}", UNREADABLE[provider])
            assert time.monotonic() - begun < 10, "int(Decimal('1E+3000000')) takes minutes"
    shop.check_ledger()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_invalid_currency_is_never_accepted(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """Only a currency of ISO 4217 in its spelling."""
    shop = open_shop(provider)
    for number, currency in enumerate(NO_CURRENCIES):
        with subtests.test(currency=repr(currency)[:12]):
            change = fields(**{CURRENCY_FIELD[provider]: currency})
            go_through(shop, change, f"order-{number}", UNREADABLE[provider])
    shop.check_ledger()


def test_invalid_amount_leaves_a_refund_unknown(open_shop: OpenShop, subtests: pytest.Subtests) -> None:
    """In a refund's reply: it may have been made, so it is queried and not repeated."""
    shop = open_shop("qfpay-alipay")
    for number, amount in enumerate(NO_AMOUNTS, start=1):
        with subtests.test(amount=repr(amount)[:20]):
            payment = shop.paid(f"order-{number}")
            with shop.gateway.answering(body(fields(txamt=amount)), shop.paths["refund"]):
                payment = shop.till.refund(payment, f"back-{number}")
            assert [refund.status for refund in payment.refunds] == [RefundStatus.UNKNOWN]
            settled = shop.till.query(payment)
            assert [refund.status for refund in settled.refunds] == [RefundStatus.SUCCEEDED]
            assert shop.gateway.asked(shop.paths["refund"]) == number
    shop.check_ledger()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("amount", OTHER_AMOUNTS)
def test_other_amount_is_never_paid_and_needs_review(
    open_shop: OpenShop, provider: Provider, amount: int
) -> None:
    """A different amount needs review, whatever the status beside it."""
    shop = open_shop(provider)
    payment = shop.create()
    shop.pay(payment)
    _, record = told(shop, fields(**{AMOUNT_FIELD[provider]: amount}))
    seen = not_believed(shop, payment, record)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, ("amount_differs",))
    assert seen.paid_minor == 0
    shop.check_ledger()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_other_currency_is_never_paid_and_needs_review(open_shop: OpenShop, provider: Provider) -> None:
    """The same number in another currency is another amount."""
    shop = open_shop(provider)
    payment = shop.create()
    shop.pay(payment)
    _, record = told(shop, fields(**{CURRENCY_FIELD[provider]: "JPY"}))
    seen = not_believed(shop, payment, record)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, ("amount_differs",))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("minor", "currency", "reasons"),
    [
        (10, "", ("amount_differs",)),
        (10, None, ("amount_differs",)),
        (None, "JPY", ("amount_differs",)),
        (8800, None, ()),
        (None, "HKD", ()),
        (None, None, ()),
    ],
)
def test_half_of_an_amount_is_compared(
    open_shop: OpenShop,
    provider: Provider,
    minor: int | None,
    currency: str | None,
    reasons: tuple[str, ...],
) -> None:
    """A single reported part that differs is never paid; a missing part does not count."""
    shop = open_shop(provider)
    payment = shop.create()
    shop.pay(payment)
    change = fields(**{AMOUNT_FIELD[provider]: minor, CURRENCY_FIELD[provider]: currency})
    _, record = told(shop, change)
    seen = not_believed(shop, payment, record)
    assert (seen.status, seen.review_reasons) == (Status.PENDING if reasons else Status.PAID, reasons)
    shop.check_ledger()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_half_of_a_refunds_amount_is_compared(open_shop: OpenShop, provider: Provider) -> None:
    """A refund answered with another number and no currency has not succeeded."""
    shop = open_shop(provider)
    payment = shop.paid("order-1")
    change = fields(**{AMOUNT_FIELD[provider]: 1, CURRENCY_FIELD[provider]: None})
    with shop.gateway.answering(body(change), shop.paths["refund"]):
        payment = shop.till.refund(payment, "back-1")
    assert payment.review_reasons == ("refund_amount_differs",)
    assert [refund.status for refund in payment.refunds] != [RefundStatus.SUCCEEDED]


TWICE = {
    "respcd, refused first": lambda honest: b'{"respcd":"1143",' + honest.lstrip()[1:],
    "respcd, accepted first": more(b'"respcd":"1143"'),
    "the same respcd": more(b'"respcd":"0000"'),
    "an escaped name": more(b'"\\u0072espcd":"1143"'),
    "out_trade_no": more(b'"out_trade_no":"A1"'),
    "txamt": more(b'"txamt":"1"'),
    "a name nobody knows": more(b'"x":1,"x":2'),
    "inside a field": more(b'"x":[{"a":1,"a":2}]'),
}


@pytest.mark.parametrize("name", TWICE)
def test_duplicate_names_make_a_reply_invalid(open_shop: OpenShop, name: str) -> None:
    """Parsers differ on duplicate names, so such a reply counts for no verb."""
    shop = open_shop("qfpay-alipay")
    change: Callable[[bytes], bytes] = TWICE[name]
    go_through(shop, change)
    with shop.gateway.answering(body(change), shop.paths["refund"]):
        payment = shop.till.refund(shop.till.find("order-1"))
    assert [refund.status for refund in payment.refunds] == [RefundStatus.UNKNOWN]
    assert [refund.status for refund in shop.till.query(payment).refunds] == [RefundStatus.SUCCEEDED]


ODD_WORDS = {
    "NUL": "a\x00b",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "lines": "1\r\n2\u2028",
    "turned round": "\u202egnp.exe",
    "40 KiB": "9" * 40 * 1024,
}


@pytest.mark.parametrize("name", ODD_WORDS)
def test_odd_texts_of_a_provider_are_kept_harmless(open_shop: OpenShop, name: str) -> None:
    """
    Ids and messages with control characters or without end are not stored or exported unchanged.

    An order with such an id may exist: a later valid answer resolves it.
    """
    shop = open_shop("qfpay-alipay")
    words = ODD_WORDS[name]
    change = fields(syssn=words, resperr=words, respmsg=words, cardcd=words, sysdtm=words)
    with shop.gateway.answering(body(change), shop.paths["create"]):
        payment = shop.create()
    assert (payment.status, payment.provider_id) == (Status.UNKNOWN, None)
    ledger = open_ledger(shop.config.ledger)
    exported = "".join(audit.export(ledger))
    ledger.close()
    assert len(exported) < 8000
    assert exported.isprintable()
    assert "\\u00" not in exported
    shop.pay(payment)
    assert shop.till.query(payment).status is Status.PAID


@pytest.mark.parametrize("name", [name for name in ODD_WORDS if name != "turned round"])
def test_odd_id_is_no_answer_to_the_toy(open_shop: OpenShop, name: str) -> None:
    """An unprintable id is no id."""
    shop = open_shop("toy")
    with shop.gateway.answering(body(fields(id=ODD_WORDS[name])), shop.paths["create"]):
        assert shop.create().status is Status.UNKNOWN


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "change",
    [
        {"toy": {"status": "PAID"}, "qfpay-alipay": {"respcd": "00000"}},
        {"toy": {"status": "unknown"}, "qfpay-alipay": {"respcd": "０000"}},
        {"toy": {"status": ""}, "qfpay-alipay": {"respcd": "\x00"}},
        {"toy": {"status": "paid\n"}, "qfpay-alipay": {"respcd": "9999"}},
        {"toy": {"status": 1}, "qfpay-alipay": {"respcd": [0]}},
        {"toy": {"status": None}, "qfpay-alipay": {"respcd": None}},
        {"toy": {"number": 7, "id": 8}, "qfpay-alipay": {"out_trade_no": "SOMEBODY-ELSES"}},
    ],
)
def test_unlisted_status_is_unknown(
    open_shop: OpenShop, provider: Provider, change: dict[str, dict[str, Any]]
) -> None:
    """An unlisted status is neither acceptance nor refusal; nor is the answer to another order."""
    shop = open_shop(provider)
    with shop.gateway.answering(body(fields(**change[provider])), shop.paths["create"]):
        payment = shop.create()
    assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
    shop.check_ledger()


def test_more_records_than_asked_for_are_looked_at_in_time(open_shop: OpenShop) -> None:
    """A MiB of invalid records: a query without an answer, quickly."""
    shop = open_shop("qfpay-alipay")
    payment = shop.create()
    records = b'{"respcd":"0000","data":[' + b",".join([b"{}"] * 340_000) + b"]}"
    begun = time.monotonic()
    assert not_believed(shop, payment, body(lambda _: records)) == payment
    assert time.monotonic() - begun < 5
