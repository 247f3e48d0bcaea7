"""`changes`: in order, from where the consumer last acknowledged, by both clients on both databases."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from paycore import ChangeKind, PaymentChange
from paycore.domain.changes import change_key
from paycore.errors import InvalidField, NotFound
from paycore.testing.twins import TWINS
from tests.feed.conftest import Shop, drain, told
from tests.support.toy_http import toy_plugins

STORY = [
    ("order-1", "created"),
    ("order-1", "pending"),
    ("order-1", "paid"),
    ("order-1", "refunded"),
]


def refunded_story(shop: Shop) -> None:
    """A payment that is made, paid and refunded in part."""
    pay = shop.open()
    paid = shop.paid(pay, "order-1")
    pay.refund(paid.id, reference="back-1", amount=None)


@pytest.mark.parametrize("kind", TWINS)
def test_changes_come_in_order_and_once_acknowledged_not_again(shop: Shop, kind: str) -> None:
    """From the start: every change of a payment, in the order of what happened; what was handled is over."""
    refunded_story(shop)
    pay: Any = TWINS[kind](shop.config, toy_plugins())
    changes: list[PaymentChange] = list(pay.changes("shop", from_start=True, follow=False))
    assert told(changes) == STORY
    assert [change.refund for change in changes] == [None, None, None, "back-1"]
    assert list(pay.changes("shop", follow=False)) == []
    assert told(list(pay.changes("another", from_start=True, follow=False))) == STORY
    pay.shutdown()


def test_a_key_names_one_change_for_ever(shop: Shop) -> None:
    """Every consumer is given the same keys, and no two changes have the same one."""
    refunded_story(shop)
    pay = shop.open()
    keys = [change.key for change in drain(pay, from_start=True)]
    assert len(set(keys)) == len(STORY)
    assert [change.key for change in drain(pay, "another", from_start=True)] == keys
    payment_id = pay.find("order-1").id
    assert keys[2] == change_key(payment_id, 3, ChangeKind.PAID, None) == f"{payment_id}.3.paid"


def test_a_new_consumer_begins_now(shop: Shop) -> None:
    """Without `from_start` it is told of what happens after its first use; `from_start` changes nothing later."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    assert drain(pay) == []
    shop.order(pay, "order-2")
    assert told(drain(pay, from_start=True)) == [("order-2", "created"), ("order-2", "pending")]


@pytest.mark.parametrize("words", [("paid", "refunded"), {ChangeKind.PAID, ChangeKind.REFUNDED}])
def test_only_the_kinds_asked_for_come(shop: Shop, words: Any) -> None:
    """The others are passed over, and count as acknowledged: the consumer is not behind."""
    refunded_story(shop)
    pay = shop.open()
    assert told(drain(pay, kinds=words, from_start=True)) == STORY[2:]
    shop.order(pay, "order-2")
    assert drain(pay, kinds=words) == []
    assert shop.ledger().consumers("shop").result()[0].behind == 0
    assert drain(pay) == []


def test_the_payment_is_as_it_is_now(shop: Shop) -> None:
    """Whoever ships what was paid sees that it was refunded meanwhile."""
    refunded_story(shop)
    first = drain(shop.open(), from_start=True)[0]
    assert (first.kind, first.payment.status, first.payment.refunded_minor) == ("created", "paid", 88_00)


def test_a_break_or_an_exception_does_not_acknowledge(shop: Shop) -> None:
    """What the loop body did not finish is handed over again, with the same key."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    seen = []
    for change in pay.changes("shop", from_start=True):
        seen.append(change.key)
        if change.kind == "pending":
            break
    with suppress(ZeroDivisionError):
        for change in pay.changes("shop"):
            seen.append(change.key)
            if change.kind == "paid":
                raise ZeroDivisionError
    rest = [change.key for change in drain(pay)]
    assert seen[1] == seen[2]
    assert rest == [seen[3]]
    assert drain(pay) == []


def test_an_async_break_or_exception_does_not_acknowledge(shop: Shop) -> None:
    """The same for `async for`."""
    refunded_story(shop)

    async def read() -> list[str]:
        seen = []
        async with shop.open_async() as pay:
            async for change in pay.changes("shop", from_start=True):
                seen.append(change.key)
                if change.kind == "pending":
                    break
            with suppress(ZeroDivisionError):
                async for change in pay.changes("shop"):
                    seen.append(change.key)
                    if change.kind == "paid":
                        raise ZeroDivisionError
            seen += [change.key async for change in pay.changes("shop", follow=False)]
        return seen

    keys = asyncio.run(read())
    assert keys[1] == keys[2]
    assert keys[3] == keys[4]
    assert len(set(keys)) == len(STORY)


def test_of_two_changes_of_one_event_each_is_acknowledged_by_itself(shop: Shop) -> None:
    """A charge back is told, and needs review: after the first of the two only the second is left."""
    pay = shop.open()
    payment = shop.paid(pay, "order-1")
    drain(pay, from_start=True)
    shop.gateway.happens("charge_back", number=payment.order_number)
    pay.query(payment.id)
    seen = []
    for change in pay.changes("shop"):
        seen.append(change)
        if change.kind == "review":
            break
    again = drain(pay)
    assert [change.kind.value for change in seen] == ["charged_back", "review"]
    assert seen[0].position == seen[1].position
    assert [change.key for change in again] == [seen[1].key]
    assert drain(pay) == []


@pytest.mark.parametrize("kind", TWINS)
def test_a_consumer_that_is_forgotten_is_a_new_one(shop: Shop, kind: str) -> None:
    """It begins again; one that does not exist is an error."""
    refunded_story(shop)
    pay: Any = TWINS[kind](shop.config, toy_plugins())
    list(pay.changes("shop", from_start=True, follow=False))
    pay.forget_consumer("shop")
    with pytest.raises(NotFound, match="no consumer is called 'shop'"):
        pay.forget_consumer("shop")
    assert told(list(pay.changes("shop", from_start=True, follow=False))) == STORY
    pay.shutdown()


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("consumer", {"consumer": ""}),
        ("consumer", {"consumer": "x" * 65}),
        ("consumer", {"consumer": " shop"}),
        ("consumer", {"consumer": "a\nb"}),
        ("consumer", {"consumer": 7}),
        ("kinds", {"kinds": "paid"}),
        ("kinds", {"kinds": ("payed",)}),
        ("kinds", {"kinds": ()}),
        ("kinds", {"kinds": (1,)}),
    ],
)
def test_what_can_not_be_is_refused_at_once(shop: Shop, field: str, arguments: dict[str, Any]) -> None:
    """`InvalidField` names the argument when `changes` is called, before anything is iterated over or made."""
    pay = shop.open()
    with pytest.raises(InvalidField) as refused:
        pay.changes(**{"consumer": "shop", **arguments})
    assert refused.value.field == field
    assert shop.ledger().consumers().result() == ()
