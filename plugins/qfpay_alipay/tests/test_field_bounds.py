"""Every documented bound on a field, both sides of it (SOURCES.md §3.1 and §3.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import InvalidField, Secret
from plugins.qfpay_alipay.tests.support import make_order, make_provider

URL = "https://shop.example/"

TAKEN = [
    {},
    {"subject": "a"},
    {"subject": "測試商品 -_. x"},
    {"subject": "ก็ " * 5},
    {"subject": "x" * 200},
    {"subject": "☕"},
    {"expires_in_s": 300},
    {"expires_in_s": 301},
    {"channel": "app", "subject": "☕ 2"},
    {"expires_in_s": 7200},
    {"return_url": URL + "x" * (512 - len(URL))},
    {"channel": "wap", "return_url": URL + "x" * (200 - len(URL))},
    {"return_url": "http://localhost:3000/ok"},
    {"notify_url": URL + "x" * (256 - len(URL))},
    {"notify_url": "https://shop.example:443/n"},
    {"notify_url": "http://127.0.0.1:8701/n"},
    {"payer_id": "2088802811715388"},
    {"payer_id": "x" * 64},
    {"device_id": "x" * 40},
    {"auth_code": Secret("1" * 128)},
    {"auth_code": Secret("1")},
    {"extra": {"limit_pay": "no_credit"}},
    {"extra": {"pay_tag": "ALIPAYHK"}},
    {"extra": {"pay_tag": "ALIPAYCN"}},
    {"extra": {"goods_info": "Two coffees"}},
    {"extra": {"goods_info": "x" * 128}},
    {"extra": {"seller_id": "seller@shop.example"}},
    {"extra": {"seller_id": "x" * 128}},
]

REFUSED = [
    ({"channel": "app", "subject": "☕"}, "subject", "letters and digits"),
    ({"expires_in_s": 299}, "expires_in_s", "299; QFPay takes 300 to 7200"),
    ({"expires_in_s": 240}, "expires_in_s", "240"),
    ({"expires_in_s": 7201}, "expires_in_s", "7201"),
    ({"expires_in_s": 0}, "expires_in_s", "0"),
    ({"expires_in_s": -300}, "expires_in_s", "-300"),
    ({"return_url": ""}, "return_url", "0 characters"),
    ({"return_url": URL + "x" * (513 - len(URL))}, "return_url", "513 characters; QFPay takes 1 to 512"),
    ({"channel": "wap", "return_url": URL + "x" * (201 - len(URL))}, "return_url", "201 characters"),
    ({"notify_url": URL + "x" * (257 - len(URL))}, "notify_url", "257 characters; QFPay takes 1 to 256"),
    ({"notify_url": "https://shop.example:8443/n"}, "notify_url", "port 8443; QFPay calls https on port 443"),
    ({"payer_id": ""}, "payer_id", "0 characters"),
    ({"payer_id": "x" * 65}, "payer_id", "65 characters; QFPay takes 1 to 64"),
    ({"payer_id": "a b"}, "payer_id", "a space"),
    ({"device_id": "x" * 41}, "device_id", "41 characters; QFPay takes 1 to 40"),
    ({"device_id": "é"}, "device_id", "outside ASCII"),
    ({"auth_code": Secret("")}, "auth_code", "0 characters"),
    ({"auth_code": Secret("1" * 129)}, "auth_code", "129 characters; QFPay takes 1 to 128"),
    ({"auth_code": Secret("28385470235\x00")}, "auth_code", "control character"),
    ({"extra": {"limit_pay": "no_debit"}}, "limit_pay", "'no_debit'; QFPay takes no_credit"),
    ({"extra": {"pay_tag": "ALIPAY"}}, "pay_tag", "'ALIPAY'; QFPay takes ALIPAYCN or ALIPAYHK"),
    ({"extra": {"pay_tag": ""}}, "pay_tag", "''"),
    ({"extra": {"goods_info": ""}}, "goods_info", "0 characters"),
    ({"extra": {"goods_info": "x" * 129}}, "goods_info", "129 characters"),
    ({"extra": {"goods_info": "a=b"}}, "goods_info", "'=' is a special character"),
    ({"extra": {"seller_id": "x" * 129}}, "seller_id", "129 characters"),
    ({"extra": {"seller_id": "a b"}}, "seller_id", "a space"),
]


@pytest.mark.parametrize("fields", TAKEN, ids=repr)
def test_check_field_inside_its_bound_is_taken(fields: dict[str, Any]) -> None:
    """The last value that must pass."""
    make_provider().check(make_order(**fields))


@pytest.mark.parametrize(("fields", "field", "problem"), REFUSED)
def test_check_field_outside_its_bound_is_refused(fields: dict[str, Any], field: str, problem: str) -> None:
    """The first value that must not: the error names the field, the value and the bound."""
    with pytest.raises(InvalidField) as refused:
        make_provider().check(make_order(**fields))
    assert refused.value.field == field
    assert problem in str(refused.value)


def problem_with(**fields: Any) -> InvalidField | None:
    """The check's error for an order with these fields."""
    try:
        make_provider().check(make_order(**fields))
    except InvalidField as refused:
        return refused
    return None


@given(st.text(min_size=1, max_size=130))
def test_check_auth_code_never_shows_it(code: str) -> None:
    """No error repeats the scanned code."""
    assert "CANARY" not in str(problem_with(auth_code=Secret(f"CANARY{code}")))


@given(st.text(max_size=30), st.text(max_size=80))
def test_check_any_text_is_refused_by_name_or_can_be_sent(subject: str, return_url: str) -> None:
    """The check raises nothing else, and what passes can be signed and sent."""
    refused = problem_with(subject=subject, return_url=return_url)
    if refused is None:
        next(make_provider().create(make_order(subject=subject, return_url=return_url)))
    else:
        assert refused.field == "return_url"
