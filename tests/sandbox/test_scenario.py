"""Rules for what becomes of orders: which rule is for which order, and how rules are written."""

import msgspec
import pytest

from paycore.sandbox.scenario import Match, NewOrder, PayerMove, read_auto_pay

ORDER = NewOrder(
    id="G1",
    number="01M8432N43FS0AFD65JB3DTBH7",
    minor=800,
    currency="HKD",
    made_ms=0,
    texts=("smoke-1-close",),
    method="alipay",
    channel="qr",
)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(reference="smoke-"), True),
        (Match(reference="01M843"), True),
        (Match(reference="close"), False),
        (Match(amount="8"), True),
        (Match(amount="800"), False),
        (Match(amount="8.00", currency="HKD"), True),
        (Match(amount="8.00", currency="EUR"), False),
        (Match(method="alipay", channel="qr"), True),
        (Match(method="alipay", channel="web"), False),
        (Match(reference="smoke-", channel="web"), False),
    ],
)
def test_a_rule_is_for_the_orders_that_have_all_it_names(match: Match, fits: bool) -> None:
    """The reference by its beginning, the amount in major units, all else as it is."""
    assert match.fits(ORDER) is fits


def test_amounts_are_compared_in_the_decimals_of_the_currency() -> None:
    """8 yen are 8 in minor units; a currency nobody knows has no amount."""
    for currency, amount, other in (("JPY", "8", "0.08"), ("KWD", "0.008", "8"), ("EUR", "0.08", "8.00")):
        order = msgspec.structs.replace(ORDER, minor=8, currency=currency)
        assert (order.is_of(amount), order.is_of(other)) == (True, False)
    order = msgspec.structs.replace(ORDER, minor=8, currency="XXX")
    assert not order.is_of("8")


@pytest.mark.parametrize(
    ("texts", "payer"),
    [
        ([], None),
        (["3"], PayerMove(does="pay", after_s=3)),
        (["1m30s"], PayerMove(does="pay", after_s=90)),
        (["off"], PayerMove(does="nothing")),
        (["3", "reference:smoke-1-close=off"], PayerMove(does="nothing")),
        (["reference:smoke-1-close=off", "3"], PayerMove(does="nothing")),
        (["reference:order-=off", "3"], PayerMove(does="pay", after_s=3)),
        (["amount:8.00=1.5", "channel:qr=2"], PayerMove(does="pay", after_s=1.5)),
        (["channel:qr,amount:9=1", "channel:qr=2"], PayerMove(does="pay", after_s=2)),
        (["reference:a=b=1", "method:alipay=4"], PayerMove(does="pay", after_s=4)),
    ],
)
def test_the_first_rule_that_fits_decides(texts: list[str], payer: PayerMove | None) -> None:
    """What is for some orders goes before what is for all, wherever it stands."""
    assert read_auto_pay(texts).fate_of(ORDER).payer == payer


def test_an_order_whose_payer_has_decided_is_left_alone() -> None:
    """A scanned code that was paid at once needs no payer."""
    assert read_auto_pay(["3"]).fate_of(msgspec.structs.replace(ORDER, is_decided=True)).payer is None


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["soon"], "'soon' is neither a duration, such as 90 or 5m, nor off"),
        (["-1"], "'-1' is neither"),
        (["nan"], "'nan' is neither"),
        (["inf"], "'inf' is neither"),
        (["channel:qr"], "'channel:qr' is neither"),
        (["chanel:qr=3"], "no condition 'chanel'; did you mean channel?"),
        (["channel=3"], "'channel' is not KEY:VALUE"),
        (["channel:=3"], "'channel:' is not KEY:VALUE"),
        (["channel:qr,channel:web=3"], "channel is given twice"),
        (["amount:eight=3"], "not 'eight'"),
        (["=3"], "'=3' does not say which orders it is for"),
        (["1", "2"], "two times for all orders"),
    ],
)
def test_what_is_wrong_is_named(texts: list[str], words: str) -> None:
    """With what is meant instead."""
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        read_auto_pay(texts)
