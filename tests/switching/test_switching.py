"""One shop, unchanged, over providers with nothing in common: a switch is a change of the configuration alone."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from paycore import Instructions, Money, Payment, Redirect, Status
from paycore.cli.main import main
from paycore.domain.payment import RefundStatus
from paycore.errors import IncompleteReply, MaybeSent, NotSent, NotSupported
from tests.switching.conftest import METHODS, Street

PRICE, PART = Money("88.00", "HKD"), Money("20.00", "HKD")
PROVIDERS = list(METHODS)


class Shop:
    """A shop: it never names a provider, an account or a method."""

    def __init__(self, pay: Any, notify_url: str) -> None:
        self.pay = pay
        self.notify_url = notify_url

    def sell(self, reference: str) -> Payment:
        """What every order is made by."""
        payment: Payment = self.pay.create(
            reference=reference,
            amount=PRICE,
            channel="web",
            subject="Two tickets! #5",
            return_url="https://shop.example/back",
            notify_url=self.notify_url,
            expires_in_s=300,
        )
        return payment

    def deliver(self) -> Sequence[tuple[str, str]]:
        """What has become of the orders since it was asked last: reference and kind."""
        kinds = ("paid", "refunded", "closed", "failed", "review")
        changes = list(self.pay.changes("delivery", kinds=kinds, from_start=True, follow=False))
        return [(change.payment.reference, str(change.kind)) for change in changes]

    def give_back(self, payment: Payment, reference: str) -> Payment | None:
        """Part of the price; None where it has to go back some other way."""
        try:
            refunded: Payment = self.pay.refund(payment.id, reference=reference, amount=PART)
        except NotSupported:
            return None
        return refunded

    def give_up(self, payment: Payment) -> Payment:
        """The order as it is once the shop does not want it to be paid any more."""
        try:
            closed: Payment = self.pay.close(payment.id)
        except NotSupported:
            return payment
        return closed


def shop_of(street: Street, kind: str, name: str) -> Shop:
    return Shop(street.client(kind), street.notify_url(name))


@pytest.mark.parametrize("name", PROVIDERS)
def test_order_is_shown_paid_told_and_partly_given_back(street: Street, kind: str, name: str) -> None:
    """The same calls lead from the order to its refund, and the change feed tells the shop of each step."""
    street.open(name)
    shop = shop_of(street, kind, name)
    payment = shop.sell("order-1")
    assert (payment.status, payment.account, payment.method) == (Status.PENDING, name, METHODS[name])
    assert isinstance(payment.action, Redirect | Instructions)
    assert shop.sell("order-1") == payment

    street.sandbox(name).pay(payment.order_number)
    payment = shop.pay.wait(payment.id, 30)
    assert (payment.status, payment.paid_minor, payment.review_reasons) == (Status.PAID, 8800, ())
    assert shop.deliver() == [("order-1", "paid")]
    assert not street.has_notifications(name) or street.heard.took(name)

    product = street.product(payment)
    refunded = shop.give_back(payment, "back-1")
    assert (refunded is None) is (product.refund == "none")
    if refunded is not None:
        refunded = shop.pay.wait(payment.id, 30)
        assert [(one.status, one.amount) for one in refunded.refunds] == [(RefundStatus.SUCCEEDED, PART)]
        assert (refunded.status, refunded.refunded_minor) == (Status.PAID, 2000)
        assert shop.deliver() == [("order-1", "refunded")]
    shown = street.sandbox(name).show_order(payment.order_number)
    assert (len(shown["orders"]), shown["charges"], shown["paid_minor"]) == (1, 1, 8800)
    assert shown["refunded_minor"] == (0 if refunded is None else 2000)


@pytest.mark.parametrize("name", PROVIDERS)
def test_fields_a_product_has_no_use_for_are_named(street: Street, name: str) -> None:
    """What was given and is not declared is in `payment.ignored`, and nothing else is."""
    street.open(name)
    shop = shop_of(street, "sync", name)
    payment = shop.sell("order-1")
    product = street.product(payment)
    given = {"subject", "return_url", "notify_url", "expires_in_s"}
    assert set(payment.ignored) == given - product.required - product.optional


@pytest.mark.parametrize("name", PROVIDERS)
def test_order_nobody_wants_any_more_is_given_up(street: Street, kind: str, name: str) -> None:
    """A close is what the provider makes of it; what could still be paid is not called closed."""
    street.open(name)
    shop = shop_of(street, kind, name)
    payment = shop.give_up(shop.sell("order-1"))
    product = street.product(payment)
    if product.close:
        payment = shop.pay.wait(payment.id, 30)
    assert payment.status is (Status.CLOSED if product.close else Status.PENDING)
    assert shop.deliver() == ([("order-1", "closed")] if product.close else [])


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("fault", ["lose_request", "lose_reply"])
@pytest.mark.parametrize("dsn", ["sqlite"], indirect=True)  # what is recorded is the same on both
def test_lost_creation_is_one_order_all_the_same(street: Street, kind: str, name: str, fault: str) -> None:
    """Whatever was lost, the same call leads to one order that can be paid."""
    street.open(name)
    shop = shop_of(street, kind, name)
    street.fault(name, fault)
    payment = _made(shop, "order-1")
    street.sandbox(name).pay(payment.order_number)
    payment = shop.pay.wait(payment.id, 30)
    shown = street.sandbox(name).show_order(payment.order_number)
    assert (payment.status, shown["charges"], shown["paid_minor"]) == (Status.PAID, 1, 8800)


def _made(shop: Shop, reference: str) -> Payment:
    """The payment once its order is known, by the same call."""
    for _ in range(20):
        try:
            payment = shop.sell(reference)
        except (NotSent, MaybeSent, IncompleteReply):
            shop.pay.sleep(0.2)
            continue
        if payment.action is not None:
            return payment
        shop.pay.sleep(0.2)
    raise AssertionError("it was not made")


@pytest.mark.parametrize(
    ("before", "after"), list(zip(PROVIDERS, [*PROVIDERS[1:], PROVIDERS[0]], strict=True))
)
def test_payments_from_before_a_switch_go_on_with_their_account(
    street: Street, kind: str, before: str, after: str
) -> None:
    """The old ones are repeated, paid and refunded where they were made; new ones go to the new account."""
    street.open(before, after)
    old_shop = shop_of(street, kind, before)
    unpaid, paid = old_shop.sell("order-1"), old_shop.sell("order-2")
    street.sandbox(before).pay(paid.order_number)
    paid = old_shop.pay.wait(paid.id, 30)

    street.switch(after)
    shop = shop_of(street, kind, after)
    shop.notify_url = old_shop.notify_url  # as an application has it: one URL for each order
    assert shop.sell("order-1").id == unpaid.id
    assert shop.sell("order-2").id == paid.id
    new = shop.sell("order-3")
    assert (new.account, new.method) == (after, METHODS[after])

    street.sandbox(before).pay(unpaid.order_number)
    assert shop.pay.wait(unpaid.id, 30).status is Status.PAID
    refunded = shop.give_back(paid, "back-1")
    if refunded is not None:
        assert shop.pay.wait(paid.id, 30).refunded_minor == 2000
    street.sandbox(after).pay(new.order_number)
    assert shop.pay.wait(new.id, 30).status is Status.PAID
    assert {one.reference: one.account for one in shop.pay.list()} == {
        "order-1": before,
        "order-2": before,
        "order-3": after,
    }


def test_all_accounts_are_looked_after_at_once(street: Street, kind: str) -> None:
    """One client waits for orders of every provider, and one feed tells of all."""
    street.open(*PROVIDERS)
    shop = shop_of(street, kind, PROVIDERS[0])
    made = []
    for name in PROVIDERS:
        street.switch(name)
        made.append(shop_of(street, kind, name).sell(f"order of {name}"))
    for payment in made:
        street.sandbox(payment.account).pay(payment.order_number)
    waited = list(shop.pay.wait_many([payment.id for payment in made], 30))
    assert {payment.account: payment.status for payment in waited} == dict.fromkeys(PROVIDERS, Status.PAID)
    assert sorted(shop.deliver()) == sorted((f"order of {name}", "paid") for name in PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("dsn", ["sqlite"], indirect=True)
def test_command_line_sells_without_a_method(
    street: Street, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """`create`, `await`, `refund` and `close` name neither account nor method."""
    street.open(name)
    order = (
        "--amount 88.00 --currency HKD --channel web --return-url https://shop.example/back --subject Tickets"
    )

    def run(words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*words.split(), "--json", "--config", str(street.config)])
        out, err = capsys.readouterr()
        return code, json.loads(out or err)

    code, made = run(f"create --reference order-1 {order}")
    assert (code, made["status"], made["method"], made["account"]) == (0, "pending", METHODS[name], name)
    street.sandbox(name).pay(made["order_number"])
    code, paid = run(f"await {made['id']} --timeout 30")
    assert (code, paid["status"]) == (0, "paid")
    product = street.product(street.client("sync").get(made["id"]))
    code, refunded = run(f"refund {made['id']} --reference back-1 --amount 20.00")
    assert code == (0 if product.refund != "none" else 2), refunded
    _, other = run(f"create --reference order-2 {order}")
    code, closed = run(f"close {other['id']}")
    assert code == (0 if product.close else 2), closed
