"""Which product, amount and fields a smoke run takes."""

from typing import Any

import pytest

from paycore.cli.endings import UsageProblem
from paycore.cli.smoke.selection import SmokeOptions, choose
from paycore.domain.money import Money
from paycore.domain.provider import Mode, Product
from paycore.engine.offers import AccountInfo

TAKEN = {"HKD": (100, 1_000_000)}


def product(method: str = "card", channel: str = "web", **fields: Any) -> Product:
    """A product; `fields` are those of `Product`."""
    return Product(method=method, channel=channel, **{"currencies": TAKEN, **fields})


def account(*products: Product, mode: Mode = "sandbox", default_method: str | None = None) -> AccountInfo:
    """An account with these products."""
    return AccountInfo(
        name="shop",
        provider="acme",
        mode=mode,
        is_default=True,
        default_method=default_method,
        products=products,
    )


def chosen(info: AccountInfo, **options: Any) -> str:
    """The product chosen, as `method/channel`."""
    found = choose(info, SmokeOptions(**options)).product
    return f"{found.method}/{found.channel}"


def test_product_with_the_most_steps_is_taken() -> None:
    """One that can be closed, captured and refunded in part goes before one that can't; then comes the channel."""
    none = product("none", close=False, refund="none")
    whole = product("whole", refund="full")
    part, captured = product("part"), product("captured", "wap", capture="partial")
    assert chosen(account(none, whole)) == "whole/web"
    assert chosen(account(none, whole, part)) == "part/web"
    assert chosen(account(none, whole, part, captured)) == "captured/wap"
    assert chosen(account(product("a", "app"), product("a", "wap"), product("a", "qr"))) == "a/qr"


def test_default_method_goes_first() -> None:
    """The account's own method is what its application uses."""
    poor = product("mine", close=False)
    assert chosen(account(poor, product("other"), default_method="mine")) == "mine/web"
    assert chosen(account(poor, product("other"), default_method="mine"), method="other") == "other/web"


def test_scanned_code_is_never_needed() -> None:
    """A product that takes a payer's scanned code is left out, and refused with the reason where it is asked for."""
    barcode = product("a", "barcode", required=frozenset({"auth_code"}))
    assert chosen(account(barcode, product("z", "app"))) == "z/app"
    with pytest.raises(UsageProblem, match="a/barcode needs the code of a payer's wallet"):
        choose(account(barcode, product("z")), SmokeOptions(channel="barcode"))


def test_person_needs_a_link_or_a_code() -> None:
    """Outside a sandbox an app's order can't be paid here; with nobody to pay it, it is taken."""
    app = product("a", "app")
    with pytest.raises(UsageProblem, match="not paid by a link or a code"):
        choose(account(app, mode="test"), SmokeOptions())
    assert chosen(account(app, mode="test"), is_paid=False) == "a/app"
    assert chosen(account(app)) == "a/app"


def test_payer_of_the_sandbox_has_an_id() -> None:
    """A wallet's id of the payer is made up for a sandbox, and missing elsewhere."""
    inside = product("a", "jsapi", required=frozenset({"payer_id", "return_url", "subject"}))
    plan = choose(account(inside), SmokeOptions(return_url="https://shop.example/"))
    fields = plan.fields_for("smoke-1-pay")
    assert set(fields) == {"payer_id", "return_url", "subject"}
    assert fields["subject"] == "smoke-1-pay"
    assert fields["return_url"] == "https://shop.example/"
    with pytest.raises(UsageProblem, match="needs payer_id, which a smoke run does not have"):
        choose(account(inside, mode="test"), SmokeOptions(is_paid=False))


@pytest.mark.parametrize(
    ("bounds", "options", "amount"),
    [
        ({"HKD": (1, 10**6)}, {}, "2.00 HKD"),
        ({"HKD": (400, 10**6)}, {}, "4.00 HKD"),
        ({"HKD": (1, 50)}, {}, "0.50 HKD"),
        ({"JPY": (1, 10**6)}, {}, "2 JPY"),
        ({"KWD": (1, 10**6)}, {}, "2.000 KWD"),
        ({"USD": (1, 9999), "AED": (1, 9999)}, {}, "2.00 USD"),
        ({"THB": (1, 9999), "AED": (1, 9999)}, {}, "2.00 AED"),
        ({"HKD": (1, 10**6)}, {"amount": "7.50"}, "7.50 HKD"),
        ({"HKD": (1, 10**6)}, {"currency": "HKD", "max_amount": "1.20"}, "1.20 HKD"),
        ({"HKD": (1, 10**6)}, {"currency": "HKD", "max_amount": "5.00"}, "2.00 HKD"),
    ],
)
def test_amount_is_the_least_that_is_worth_paying(
    bounds: dict[str, tuple[int, int]], options: dict[str, Any], amount: str
) -> None:
    """Two units of a currency, or the least the product takes; never more than the most that is allowed."""
    found = choose(account(product(currencies=bounds)), SmokeOptions(**options)).amount
    assert found == Money(*amount.split())


def test_amount_outside_the_bounds_is_refused() -> None:
    """Before anything is made, with the bounds."""
    info = account(product())
    assert choose(info, SmokeOptions(amount="1.00")).amount == Money("1.00", "HKD")
    for amount in ("0.99", "10000.01"):
        with pytest.raises(UsageProblem, match=r"card/web takes 1\.00 HKD to 10000\.00 HKD"):
            choose(info, SmokeOptions(amount=amount))


def test_least_of_the_product_may_be_more_than_is_allowed() -> None:
    """Then nothing is tried."""
    info = account(product(currencies={"HKD": (400, 10**6)}))
    with pytest.raises(UsageProblem, match=r"card/web takes at least 4\.00 HKD"):
        choose(info, SmokeOptions(currency="HKD", max_amount="3.99"))
    assert choose(info, SmokeOptions(currency="HKD", max_amount="4.00")).amount == Money("4.00", "HKD")


@pytest.mark.parametrize(
    ("mode", "pay_timeout_s", "lifetime_s"),
    [("sandbox", 9999, 300), ("test", 600, 660), ("test", 9999, 7200)],
)
def test_orders_lapse_soon(mode: Mode, pay_timeout_s: float, lifetime_s: int) -> None:
    """The least lifetime that the product takes, or what its payer needs and a minute."""
    takes = product(expires_in_s=(300, 7200), optional=frozenset({"expires_in_s"}))
    found = choose(account(takes, mode=mode), SmokeOptions(pay_timeout_s=pay_timeout_s))
    assert found.fields == {"expires_in_s": lifetime_s}


def test_live_mode_takes_real_money() -> None:
    """An account in live mode is refused unless that is asked for."""
    real = account(product(), mode="live")
    with pytest.raises(UsageProblem, match="account shop is in live mode"):
        choose(real, SmokeOptions(max_amount="5.00", currency="HKD"))
    allowed = SmokeOptions(max_amount="5.00", currency="HKD", is_live_allowed=True)
    assert choose(real, allowed).amount == Money("2.00", "HKD")
