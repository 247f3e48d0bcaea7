"""What the application gives reaches PayPal, shortened where it must be; settings say what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import MalformedNotification, Notification, Secret
from paypal_orders.settings import PayPalSettings
from plugins.paypal_orders.tests.support import BEGUN_AT, Script, make_order, make_provider, run
from plugins.paypal_orders.tests.vectors import VECTORS


def sent(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    script = Script((201, VECTORS["CREATED"]))
    run(make_provider(**(settings or {})).create(make_order(**changes)), script)
    body: dict[str, Any] = json.loads(script.requests[0].body)
    return body


def page(body: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = body["payment_source"]["paypal"]["experience_context"]
    return context


def test_a_long_subject_is_shortened() -> None:
    """127 characters, of any script."""
    (unit,) = sent(subject="票" * 200)["purchase_units"]
    assert unit["description"] == "票" * 127


def test_an_order_without_a_subject_has_no_description() -> None:
    """Left out, not empty."""
    assert "description" not in sent()["purchase_units"][0]


@pytest.mark.parametrize(
    ("reference", "custom"),
    [("order-1", "pay_0001.order-1"), ("a.b", "pay_0001.a.b"), ("r" * 119, "pay_0001")],
)
def test_the_reference_is_carried_where_it_fits(reference: str, custom: str) -> None:
    """Whole or not at all."""
    assert sent(reference=reference)["purchase_units"][0]["custom_id"] == custom


def test_manual_capture_asks_for_an_authorization() -> None:
    """Else the order is to be captured."""
    assert sent(capture="manual")["intent"] == "AUTHORIZE"
    assert sent()["intent"] == "CAPTURE"


def test_settings_of_the_page_are_sent() -> None:
    """Brand, language, and whether what takes days is refused."""
    shown = page(sent({"brand_name": "Shop", "locale": "de-DE", "immediate_only": True}))
    assert (shown["brand_name"], shown["locale"]) == ("Shop", "de-DE")
    assert shown["payment_method_preference"] == "IMMEDIATE_PAYMENT_REQUIRED"
    assert "payment_method_preference" not in page(sent())


def test_a_resend_is_the_same_request() -> None:
    """But for the attempt, nothing differs."""
    scripts = [Script((201, VECTORS["CREATED"])) for _ in range(2)]
    for script in scripts:
        run(make_provider().create(make_order()), script)
    assert scripts[0].requests[0] == scripts[1].requests[0]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a:b"}, "client_id"),
        ({"client_secret": Secret("with space")}, "client_secret"),
        ({"brand_name": ""}, "brand_name"),
        ({"brand_name": "x" * 128}, "brand_name"),
        ({"locale": "German"}, "locale"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], word: str) -> None:
    """Without the secret."""
    with pytest.raises(ValueError, match=word) as error:
        PayPalSettings(**{"client_id": "client", "client_secret": Secret("s3cret"), **wrong})
    assert "with space" not in str(error.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"event_type":"X"}', b"id=1", b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    """And nothing else is raised."""
    with pytest.raises(MalformedNotification):
        make_provider().verify(Notification(body=body, received_at=BEGUN_AT))


def test_an_event_about_nothing_of_ours_says_nothing() -> None:
    """A resource without an id names no order."""
    body = b'{"event_type":"MERCHANT.ONBOARDING.COMPLETED","resource":{}}'
    assert make_provider().verify(Notification(body=body, received_at=BEGUN_AT)) == []


def test_any_answer_of_200_is_a_receipt() -> None:
    """PayPal takes any 2xx."""
    assert make_provider().acknowledge().status == 200
