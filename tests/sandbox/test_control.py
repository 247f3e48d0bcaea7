"""The control endpoints of any sandbox."""

import httpx2
import pytest

from tests.sandbox.echo import EchoGateway


def test_orders_are_listed_and_shown(http: httpx2.Client, gateway: EchoGateway) -> None:
    """The provider's own documents; an unknown number is 404 with the provider's hint."""
    assert http.get("/_sandbox/orders").json() == {"orders": [gateway.controls.order]}
    assert http.get("/_sandbox/orders/A1").json() == gateway.controls.order
    unknown = http.get("/_sandbox/orders/B2")
    assert (unknown.status_code, unknown.json()) == (
        404,
        {"error": "unknown order", "hint": "no order B2; there is A1"},
    )


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10001", "１"])
def test_limit_of_the_list_is_checked(http: httpx2.Client, limit: str) -> None:
    """1 to 10000."""
    assert http.get("/_sandbox/orders", params={"limit": limit}).status_code == 400
    assert http.get("/_sandbox/orders", params={"limit": "10000"}).status_code == 200


@pytest.mark.parametrize(("verb", "state"), [("pay", "paid"), ("decline", "declined"), ("expire", "expired")])
def test_payer_acts(http: httpx2.Client, gateway: EchoGateway, verb: str, state: str) -> None:
    """The new state; 409 for ended orders, 404 for unknown orders and verbs, 405 for GET."""
    gateway.controls.order["state"] = "unpaid"
    assert http.post(f"/_sandbox/orders/A1/{verb}").json()["state"] == state
    assert http.post(f"/_sandbox/orders/A1/{verb}").status_code == 409
    assert http.post(f"/_sandbox/orders/B2/{verb}").status_code == 404
    assert http.post(f"/_sandbox/orders/A1/{verb}y").status_code == 404
    assert http.get(f"/_sandbox/orders/A1/{verb}").status_code == 405


def test_notify_passes_its_options(http: httpx2.Client, gateway: EchoGateway) -> None:
    """kind and seconds have defaults; unknown options are 400."""
    assert http.post("/_sandbox/notify", json={"number": "A1"}).status_code == 200
    assert (
        http.post("/_sandbox/notify", json={"number": "A1", "kind": "late", "seconds": 3}).status_code == 200
    )
    assert gateway.controls.notified[-2:] == [("A1", "repeat", 0.0), ("A1", "late", 3.0)]
    assert http.post("/_sandbox/notify", json={"number": "A1", "second": 3}).status_code == 400
    assert http.post("/_sandbox/notify", content=b"not json").status_code == 400


def test_faults_are_added_shown_and_cleared(http: httpx2.Client, gateway: EchoGateway) -> None:
    """The provider's kinds and those of the connection."""
    added = http.post("/_sandbox/faults", json={"kind": "own", "code": "y", "path": "/api/echo", "times": 3})
    assert added.status_code == 201
    shown = http.get("/_sandbox/faults").json()
    assert shown["faults"] == [added.json()]
    assert added.json() == {
        "id": added.json()["id"],
        "kind": "own",
        "times": 3,
        "path": "/api/echo",
        "code": "y",
    }
    assert {"own", "lose_reply", "gzip_bomb"} <= shown["kinds"].keys()
    assert http.delete("/_sandbox/faults").json() == {"faults": []}
    assert gateway.faults.active() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"kind": 1}', b'{"kind": "own", "code": [1]}', b'{"kind": "own", "times": "2"}']
)
def test_fault_that_makes_no_sense_is_400(http: httpx2.Client, gateway: EchoGateway, body: bytes) -> None:
    """Never a 500, and no fault is added."""
    answer = http.post("/_sandbox/faults", content=body)
    assert (answer.status_code, set(answer.json())) == (400, {"error", "hint"})
    assert gateway.faults.active() == []


def test_clock_is_shown_and_advanced(http: httpx2.Client) -> None:
    """Milliseconds and ISO text; only forward."""
    before = http.get("/_sandbox/clock").json()
    assert before["now"].endswith("+00:00")
    assert before["speed"] == 1.0
    after = http.post("/_sandbox/clock", json={"advance_s": 3600}).json()
    assert after["now_ms"] - before["now_ms"] >= 3_600_000
    assert http.post("/_sandbox/clock", json={"advance_s": -1}).status_code == 400
    assert http.post("/_sandbox/clock", json={}).status_code == 400
