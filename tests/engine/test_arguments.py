"""Wrong arguments: each is an error that names the argument, for both clients, and nothing is recorded or sent."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from paycore import Money, Status
from paycore.engine import arguments
from paycore.errors import InvalidField, InvalidMoney, NotFound, WrongState
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

TEXTS = (
    "reference",
    "method",
    "channel",
    "account",
    "subject",
    "return_url",
    "notify_url",
    "payer_id",
    "auth_code",
    "device_id",
)
WRONG_TO_CREATE: list[tuple[str, Any]] = [
    *((field, value) for field in TEXTS for value in (5, b"x", ["x"], True)),
    *((field, None) for field in ("reference", "method", "channel", "amount")),
    *(("amount", value) for value in ("88", 88, 88.0, b"88", ("88.00", "HKD"))),
    *(("expires_in_s", value) for value in ("60", True, 60.0, math.nan, timedelta(minutes=1))),
    *(("extra", value) for value in ("x", ["limit_pay"], 5, {5: "x"}, {"limit\n": "x"})),
    ("extra.limit_pay", {"limit_pay": 5}),
]


@pytest.mark.parametrize(("field", "value"), WRONG_TO_CREATE)
def test_create_with_a_wrong_type_is_refused(
    till: Till, gateway: ToyServer, field: str, value: object
) -> None:
    """Each argument of `create` is checked by name before anything is recorded or sent."""
    with pytest.raises(InvalidField) as caught:
        till.create(**{field.partition(".")[0]: value})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert isinstance(caught.value, InvalidMoney) == (field == "amount")
    assert till.list() == ()
    assert gateway.counts().requests == {}


OF_A_PAYMENT: dict[str, dict[str, Any]] = {
    "get": {},
    "events": {},
    "query": {},
    "close": {},
    "wait": {},
    "capture": {},
    "refund": {"reference": "back-1"},
    "returned": {"params": {}},
    "acknowledge": {"reason": "paid_twice", "by": "Kim", "note": "seen"},
    "record": {"found": "closed", "by": "Kim", "note": "portal"},
}
"""Every verb that takes the id of a payment, with what else it needs."""


@pytest.mark.parametrize("verb", OF_A_PAYMENT)
@pytest.mark.parametrize("payment_id", [None, 7, b"x", ["x"], "a\x00b"])
def test_id_that_is_no_text_is_refused(till: Till, verb: str, payment_id: object) -> None:
    """Every verb that takes an id refuses other types."""
    with pytest.raises(InvalidField, match="payment_id: must ") as caught:
        till.do(verb, payment_id, **OF_A_PAYMENT[verb])
    assert caught.value.field == "payment_id"


@pytest.mark.parametrize("amount", ["88", 88, 88.0, b"88", ("88.00", "HKD")])
def test_capture_of_what_is_no_money_is_refused(till: Till, gateway: ToyServer, amount: object) -> None:
    """A number or a text has no currency; nothing is recorded or sent."""
    payment = till.create(channel="card")
    with pytest.raises(InvalidMoney):
        till.do("capture", payment.id, amount=amount)
    assert till.get(payment.id) == payment
    assert "/captures" not in gateway.counts().requests


def test_payment_in_the_place_of_its_id_is_refused(till: Till) -> None:
    """The error for a payment object says to pass its id."""
    payment = till.create()
    with pytest.raises(InvalidField, match="must be the payment's id as text, not Payment"):
        till.do("query", payment)


@pytest.mark.parametrize("timeout_s", ["5", None, True, math.nan, math.inf, -0.1, 1e300])
def test_wait_for_no_number_of_seconds_is_refused(till: Till, timeout_s: object) -> None:
    """A wait is 0 to 366 days; other values are refused at once."""
    payment = till.create()
    with pytest.raises(InvalidField, match="timeout_s: must be a number of seconds from 0 to 31622400"):
        till.do("wait", payment.id, timeout_s)
    assert till.wait(payment, 0).status is Status.PENDING


@pytest.mark.parametrize("amount", [20, "20.00", 20.0, True])
def test_refund_of_no_money_is_refused(till: Till, amount: object) -> None:
    """A refund's amount is `Money` of the payment's currency; anything else is refused and not recorded."""
    paid = till.create(channel="card")
    with pytest.raises(InvalidMoney, match=r"paycore.Money\('88.00', 'HKD'\), not as "):
        till.refund(paid, amount=amount)
    with pytest.raises(InvalidMoney, match="in the payment's currency, HKD, not in JPY"):
        till.refund(paid, amount=Money("20", "JPY"))
    assert till.get(paid.id) == paid


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("reference", {"reference": 5}),
        ("reference", {"reference": None}),
        ("reason", {"reason": 5}),
        ("amount", {"amount": 0}),
    ],
)
def test_refund_with_a_wrong_type_is_refused(till: Till, field: str, wrong: Mapping[str, Any]) -> None:
    """Arguments are checked before the payment is read."""
    with pytest.raises(InvalidField) as caught:
        till.do("refund", "nobody", **{"reference": "back-1", **wrong})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("reference", {"reference": None}),
        ("reference", {"reference": 7}),
        ("account", {"reference": "order-1", "account": 7}),
    ],
)
def test_find_by_no_text_is_refused(till: Till, field: str, wrong: Mapping[str, Any]) -> None:
    """Reference and account are text; unknown ones are not found."""
    with pytest.raises(InvalidField) as caught:
        till.do("find", **wrong)
    assert caught.value.field == field
    with pytest.raises(NotFound):
        till.find("x" * 200)


WRONG_TYPES: dict[str, list[object]] = {
    "account": [None, 5, b"toy"],
    "body": [None, "{}", {}, bytearray(b"{}")],
    "headers": [None, [("a", "b")], {"a": b"b"}, {b"a": "b"}, {"a": None}],
    "query": [None, b"a=b", {}],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG_TYPES.items() for value in values]
)
def test_receive_with_a_wrong_type_is_refused(till: Till, field: str, value: object) -> None:
    """The error names an argument of a wrong type, as a web framework may pass it."""
    given: dict[str, Any] = {"account": "toy", "body": b"{}", "headers": {}, "query": "", field: value}
    with pytest.raises(InvalidField) as caught:
        till.do("receive", given.pop("account"), **given)
    assert caught.value.field == field


def test_list_takes_a_status_or_its_word(till: Till) -> None:
    """`list(status="paid")` works like `Status.PAID`."""
    paid, pending = till.create("order-1", channel="card"), till.create("order-2")
    assert till.list(status="paid") == till.list(status=Status.PAID) == (paid,)
    assert till.list(status="pending", limit=1) == (pending,)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (
            "status",
            "payed",
            "must be one of created, unknown, pending, authorized, paid, failed, closed, or None",
        ),
        ("status", 5, "must be one of"),
        ("status", ["paid"], "must be one of"),
        ("account", 5, "must be text, not int"),
        ("review", "yes", "must be True, False or None, not str"),
        ("uncertain", 1, "must be True, False or None, not int"),
        ("until", "2026-01-01", "must be a datetime, not str"),
        ("until", date(2026, 1, 1), "must be a datetime, not date"),
        ("until", datetime(2026, 1, 1), "must have a time zone"),  # noqa: DTZ001 - that is what is wrong
        ("since", datetime(2026, 1, 1), "must have a time zone"),  # noqa: DTZ001 - that is what is wrong
        ("by", "closed", "must be one of created, updated, paid"),
        ("by", None, "must be one of created, updated, paid"),
        ("refunding", "yes", "must be True, False or None, not str"),
        ("sort", "amount", "must be one of newest, oldest, or None"),
        ("sort", ["oldest"], "must be one of newest, oldest, or None"),
        ("review_reason", "because", "must be one of amount_differs, "),
        ("reference_prefix", 5, "must be text, not int"),
        ("limit", 0, "must be a whole number from 1 to 1000"),
        ("limit", 1001, "must be a whole number from 1 to 1000"),
        ("limit", "5", "must be a whole number"),
        ("limit", True, "must be a whole number"),
        ("limit", None, "must be a whole number"),
    ],
)
def test_list_by_something_else_is_refused(till: Till, field: str, value: object, words: str) -> None:
    """The error names the filter and the accepted type."""
    with pytest.raises(InvalidField, match=words) as caught:
        till.list(**{field: value})
    assert caught.value.field == field


def test_list_in_either_order(till: Till) -> None:
    """Newest first unless asked otherwise, page by page; of a prefix too."""
    made = tuple(till.create(f"order-{n}") for n in (2, 1, 3))
    assert till.list() == till.list(sort="newest") == made[::-1]
    assert till.list(sort="oldest") == tuple(till.list_all(sort="oldest")) == made
    assert till.list(sort="oldest", after=made[0], limit=1) == (made[1],)
    assert till.list(reference_prefix="order-") == (made[1], made[0], made[2])
    assert till.list(reference_prefix="order-", sort="oldest", after=made[0]) == made[1:]


def test_list_before_a_moment(till: Till) -> None:
    """Any time with a zone is accepted, however far away."""
    payment = till.create()
    assert till.list(until=datetime.max.replace(tzinfo=UTC)) == (payment,)
    assert till.list(until=datetime.min.replace(tzinfo=UTC)) == ()


def test_list_by_a_word_that_is_none_is_refused(till: Till) -> None:
    """As by any function: a misspelt filter lists something else."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'created_before'"):
        till.list(created_before=datetime.max.replace(tzinfo=UTC))
    with pytest.raises(TypeError, match="'limit'"):
        till.list_all(limit=5)


def test_list_all_goes_through_every_page(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of `list`, whatever the length; and the filters are the same."""
    monkeypatch.setattr(arguments, "LISTED_AT_ONCE", 2)
    made = [till.create(f"order-{n}") for n in range(5)]
    assert list(till.list_all()) == made[::-1]
    assert list(till.list_all(reference_prefix="order-")) == made
    assert list(till.list_all(since=made[2].created_at, by="updated"))[-1].reference in {"order-1", "order-2"}
    assert list(till.list_all(status="paid")) == []
    assert till.list(after=made[3], limit=2) == (made[2], made[1]) == till.list(after=made[3].id, limit=2)


# --- totals ------------------------------------------------------------------------------------------


def test_totals_are_grouped_as_asked(till: Till) -> None:
    """By currency alone, or by more in the order of the words; of a range and an account."""
    payments = [till.create("order-1"), till.create("order-2", Money("2.00", "HKD"))]
    today = payments[0].created_at.date()
    (total,) = till.totals()
    assert (total.currency, total.exponent, total.count, total.amount_minor) == ("HKD", 2, 2, 9000)
    assert (total.day, total.account, total.status, total.paid_minor) == (None, None, None, 0)
    (total, *_) = till.totals("day", "status", "account", since=datetime(2020, 1, 1, tzinfo=UTC))
    assert (total.day, total.account, total.status) == (today, "toy", Status.PENDING)
    assert till.totals("day", time="paid") == till.totals(account="nobody") == ()
    assert till.totals("currency", "currency") == till.totals()


WRONG_TO_SUM: tuple[tuple[tuple[Any, ...], dict[str, Any], str, str], ...] = (
    (("month",), {}, "by", "must be some of day, account, status, currency, not 'month'"),
    ((["day"],), {}, "by", "must be some of"),
    ((), {"account": 5}, "account", "must be text, not int"),
    ((), {"time": "closed"}, "time", "must be one of created, updated, paid"),
    ((), {"since": "2026-01-01"}, "since", "must be a datetime"),
    ((), {"until": datetime(2026, 1, 1)}, "until", "must have a time zone"),  # noqa: DTZ001 - that is wrong
    (
        (),
        {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
        "until",
        "must be later than `since`",
    ),
    ((), {"timezone": "Asia/Hong_Kong"}, "timezone", "must be a tzinfo, such as a ZoneInfo, not str"),
)


def test_totals_of_something_else_are_refused(till: Till) -> None:
    """The error names the argument and what it takes."""
    for by, which, field, words in WRONG_TO_SUM:
        with pytest.raises(InvalidField, match=words) as caught:
            till.totals(*by, **which)
        assert caught.value.field == field
    with pytest.raises(TypeError, match="unexpected keyword argument 'zone'"):
        till.totals(zone=UTC)


def test_wrong_argument_comes_before_a_wrong_state(till: Till) -> None:
    """An invalid argument is reported before an invalid state."""
    pending = till.create()
    with pytest.raises(InvalidMoney):
        till.refund(pending, amount=20)
    with pytest.raises(WrongState):
        till.refund(pending, amount=Money("20.00", "HKD"))
