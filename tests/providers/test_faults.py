"""One fault at each request of a payment in turn: it is made once, paid once, and never failed by a fault."""

import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import pytest

from paycore import Money, Payment
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.errors import MaybeSent, NotSent, PluginError
from paycore.plugin import Provider
from tests.providers import (
    test_bank,
    test_bank_transfer,
    test_gocardless,
    test_klarna,
    test_mollie,
    test_mpesa,
    test_paypal,
    test_razorpay,
    test_square,
    test_stripe,
    test_till_qr,
    test_wechat,
)
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.bank import Bank
from tests.providers.minis.bank_transfer import BankTransfer
from tests.providers.minis.gocardless import GoCardless
from tests.providers.minis.klarna import Klarna
from tests.providers.minis.mollie import Mollie
from tests.providers.minis.mpesa import MPesa
from tests.providers.minis.paypal import PayPal
from tests.providers.minis.razorpay import Razorpay
from tests.providers.minis.square import Square
from tests.providers.minis.stripe import Stripe
from tests.providers.minis.till_qr import TillQR
from tests.providers.minis.wechat import WeChat

pytestmark = pytest.mark.proof

FAULTS = (
    ("sync", "request lost"),
    ("sync", "reply lost"),
    ("async", "reply lost"),
    ("async", "failed before"),
    ("sync", "failed after"),
    ("async", "too many"),
    ("sync", "no document"),
)
"""What goes wrong, and with which client: all of it with both would take long, and tell nothing more."""

WITHIN_S = 8.0


class Case(NamedTuple):
    """
    A provider at its gateway.

    `pay` has the payer pay the only order; `made` counts the orders there, `taken` how often money was taken.
    """

    provider: type[Provider]
    settings: Mapping[str, Any]
    order: Mapping[str, Any]
    gateway: Callable[[], Any]
    pay: Callable[[Any, str], object]
    made: Callable[[Any], int]
    taken: Callable[[Any], int] = lambda _: 1


CASES = {
    "bank": Case(
        Bank,
        test_bank.SETTINGS,
        test_bank.ORDER,
        test_bank.BankGateway,
        lambda bank, number: bank.payments[number].update(state="ACSC"),
        lambda bank: len(bank.payments),
    ),
    "bank transfer": Case(
        BankTransfer,
        {"token": "t"},
        test_bank_transfer.ORDER,
        test_bank_transfer.Bank,
        lambda bank, number: bank.accounts[number].update(received="88.00"),
        lambda bank: len(bank.accounts),
    ),
    "gocardless": Case(
        GoCardless,
        test_gocardless.SETTINGS,
        test_gocardless.ORDER,
        test_gocardless.GoCardlessGateway,
        lambda gateway, _: gateway.debit("BRQ1", "confirmed"),
        lambda gateway: int(gateway.requests),
    ),
    "mollie": Case(
        Mollie,
        {"api_key": "test_1"},
        test_mollie.ORDER,
        test_mollie.MollieGateway,
        lambda gateway, _: gateway.payments["tr_1"].update(status="paid"),
        lambda gateway: len(gateway.payments),
    ),
    "mpesa": Case(
        MPesa,
        test_mpesa.SETTINGS,
        test_mpesa.ORDER,
        test_mpesa.MPesaGateway,
        lambda gateway, _: gateway.results.update(ws_CO_1="0"),
        lambda gateway: len(gateway.results),
    ),
    "paypal": Case(
        PayPal,
        test_paypal.SETTINGS,
        test_paypal.ORDER,
        test_paypal.PayPalGateway,
        lambda gateway, _: gateway.approve("PP1"),
        lambda gateway: len(gateway.orders),
        lambda gateway: len(gateway.captures),
    ),
    "razorpay": Case(
        Razorpay,
        test_razorpay.SETTINGS,
        test_razorpay.ORDER,
        test_razorpay.RazorpayGateway,
        lambda gateway, _: gateway.payments.append(
            {"id": "pay_1", "status": "captured", "amount_refunded": 0}
        ),
        lambda gateway: len(gateway.orders),
    ),
    "square": Case(
        Square,
        test_square.SETTINGS,
        test_square.ORDER,
        test_square.SquareGateway,
        lambda gateway, _: gateway.orders["O1"].update(state="COMPLETED", tenders=[{"payment_id": "P1"}]),
        lambda gateway: len(gateway.orders),
    ),
    "stripe": Case(
        Stripe,
        test_stripe.SETTINGS,
        test_stripe.ORDER,
        test_stripe.StripeGateway,
        lambda gateway, _: gateway.pay(),
        lambda gateway: len(gateway.sessions),
    ),
    "till": Case(
        TillQR,
        {"token": "t"},
        test_till_qr.ORDER,
        lambda: test_till_qr.TillGateway("waiting"),
        lambda gateway, number: gateway.payments[number].update(state="paid"),
        lambda gateway: len(gateway.payments),
    ),
    "wechat": Case(
        WeChat,
        test_wechat.SETTINGS,
        test_wechat.ORDER,
        test_wechat.WeChatGateway,
        lambda gateway, number: gateway.trades[number].update(trade_state="SUCCESS", transaction_id="42"),
        lambda gateway: len(gateway.trades),
    ),
}


def break_at(gateway: Gateway, place: int, fault: str) -> None:
    """Something goes wrong with the request at this place, counted from 0."""
    handle, places = gateway.handle, itertools.count()

    def broken(asked: Asked) -> tuple[int, object] | None:
        if next(places) != place:
            return handle(asked)
        if fault not in ("request lost", "failed before", "too many"):
            handle(asked)
        answers: dict[str, tuple[int, object]] = {
            "failed before": (500, {"error": "down"}),
            "failed after": (503, {"error": "down"}),
            "too many": (429, {"error": "slow down"}),
            "no document": (200, ["unexpected"]),
        }
        return answers.get(fault)

    gateway.handle = broken  # type: ignore[method-assign]


def settled(call: Callable[[], Payment], is_so: Callable[[Payment], bool]) -> Payment:
    """What `call` returns once it is so, as a caller would try: again and again, with short pauses."""
    ends, payment = time.monotonic() + WITHIN_S, None
    while time.monotonic() < ends:
        try:
            payment = call()
        except (NotSent, MaybeSent, PluginError):
            time.sleep(0.1)
            continue
        if is_so(payment):
            return payment
        time.sleep(0.1)
    raise AssertionError(f"it did not settle: {payment}")


def is_known(payment: Payment) -> bool:
    """Whether its order is known to be there, or a person has to say so."""
    return not payment.uncertain or payment.review


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
@pytest.mark.parametrize("name", CASES)
def test_one_fault_anywhere_makes_no_second_payment(
    serve: Serve[Any], open_shop: OpenShop, name: str, fault: str
) -> None:
    """Whatever the fault, and wherever: the caller tries again, and the payment is made once and paid once."""
    case = CASES[name]
    for place in itertools.count():
        gateway = serve(case.gateway())
        break_at(gateway, place, fault)
        shop = open_shop(case.provider, gateway, ledger=f"shop-{place}.db", **case.settings)
        payment = settled(partial(shop.create, **case.order), is_known)
        assert payment.status is not Status.FAILED
        assert case.made(gateway) <= 1
        if payment.review:  # nothing can tell: a push is neither found nor sent twice
            assert (name, payment.review_reasons) == ("mpesa", (ReviewReason.UNRESOLVABLE,))
            continue
        case.pay(gateway, payment.order_number)
        is_paid = partial(
            settled, is_so=lambda payment: payment.status is Status.PAID and not payment.uncertain
        )
        payment = is_paid(partial(shop.query, payment.id))
        assert (payment.paid_minor, payment.review) == (payment.amount.minor, False)
        assert (case.made(gateway), case.taken(gateway)) == (1, 1)
        if len(gateway.asked) <= place:
            return  # no request was left to break


REFUNDING = ("mollie", "paypal", "stripe")
"""Those that give money back in parts."""


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
@pytest.mark.parametrize("name", REFUNDING)
def test_one_fault_anywhere_makes_no_second_refund(
    serve: Serve[Any], open_shop: OpenShop, name: str, fault: str
) -> None:
    """The same refund is asked for again until it is known to be there: the money goes back once."""
    case = CASES[name]
    for place in itertools.count():
        gateway = serve(case.gateway())
        shop = open_shop(case.provider, gateway, ledger=f"shop-{place}.db", **case.settings)
        payment = shop.create(**case.order)
        case.pay(gateway, payment.order_number)
        payment = settled(partial(shop.query, payment.id), lambda payment: payment.status is Status.PAID)
        asked_before = len(gateway.asked)
        break_at(gateway, place, fault)
        again = partial(shop.refund, payment.id, reference="back-1", amount=Money("1.00", "EUR"))
        payment = settled(again, lambda payment: payment.refunds[0].provider_id is not None)
        (refund,) = payment.refunds
        assert refund.status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED)
        assert (len(gateway.refunds), payment.review) == (1, False)
        if len(gateway.asked) - asked_before <= place:
            return


CLOSING = ("bank", "mollie", "stripe", "till", "wechat")
"""Those that can cancel an order."""


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
@pytest.mark.parametrize("name", CLOSING)
def test_one_fault_anywhere_closes_all_the_same(
    serve: Serve[Any], open_shop: OpenShop, name: str, fault: str
) -> None:
    """Only the provider's answer closes the payment, and it comes: whichever request was broken."""
    case = CASES[name]
    for place in itertools.count():
        gateway = serve(case.gateway())
        shop = open_shop(case.provider, gateway, ledger=f"shop-{place}.db", **case.settings)
        payment = shop.create(**case.order)
        asked_before = len(gateway.asked)
        break_at(gateway, place, fault)
        closed = settled(partial(shop.close, payment.id), lambda payment: payment.status.is_final)
        assert (closed.status, closed.review, closed.uncertain) == (Status.CLOSED, False, False)
        assert case.made(gateway) == 1
        if len(gateway.asked) - asked_before <= place:
            return


def agree_at_paypal(shop: Any, gateway: Any, payment: Payment) -> Payment:
    gateway.approve("PP1")
    found: Payment = shop.query(payment.id)
    return found


def agree_at_klarna(shop: Any, _: Any, payment: Payment) -> Payment:
    found: Payment = shop.returned(payment.id, {"authorization_token": "token-1"})
    return found


CAPTURING: Mapping[str, tuple[Case, Callable[[Any, Any, Payment], Payment]]] = {
    "paypal": (CASES["paypal"], agree_at_paypal),
    "klarna": (
        Case(
            Klarna,
            test_klarna.SETTINGS,
            test_klarna.ORDER,
            test_klarna.KlarnaGateway,
            lambda *_: None,
            lambda gateway: len(gateway.orders),
            lambda gateway: sum(order["status"] == "CAPTURED" for order in gateway.orders.values()),
        ),
        agree_at_klarna,
    ),
}


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
@pytest.mark.parametrize("name", CAPTURING)
def test_one_fault_anywhere_captures_once(
    serve: Serve[Any], open_shop: OpenShop, name: str, fault: str
) -> None:
    """The same capture is asked for again until the money is known to be taken: once, and nothing is voided."""
    case, agree = CAPTURING[name]
    for place in itertools.count():
        gateway = serve(case.gateway())
        shop = open_shop(case.provider, gateway, ledger=f"shop-{place}.db", **case.settings)
        payment = agree(shop, gateway, shop.create(**case.order, capture="manual"))
        assert (payment.status, case.taken(gateway)) == (Status.AUTHORIZED, 0)
        asked_before = len(gateway.asked)
        break_at(gateway, place, fault)
        payment = settled(
            partial(shop.capture, payment.id),
            lambda payment: payment.status is Status.PAID and not payment.uncertain,
        )
        assert (payment.paid_minor, payment.review, case.taken(gateway)) == (payment.amount.minor, False, 1)
        if len(gateway.asked) - asked_before <= place:
            return
