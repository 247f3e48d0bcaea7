"""The plugin for Mollie, an example, passes the kit, and reads what Mollie's documentation prints as it says."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paycore.plugin import (
    Attempt,
    Created,
    CreateOrder,
    Done,
    Found,
    Money,
    OrderRef,
    PaymentObservation,
    RefundObservation,
    RefundOrder,
    Response,
    Secret,
)
from paycore.testing import Subject, conformance_of
from paycore.testing.conformance.running import chosen, run_check
from paycore_mollie.provider import Mollie
from paycore_mollie.sandbox import SANDBOX
from paycore_mollie.settings import Settings

HERE = Path(__file__).parents[2] / "examples/providers/mollie"
VECTORS = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))["replies"]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


test_conformance = conformance_of(Subject(provider=Mollie, sandbox=SANDBOX))


def test_replies_mean_what_the_manual_says() -> None:
    """Each reply the manual prints has the outcome that it stands for."""
    for vector in VECTORS:
        body = vector["body"]
        content = json.dumps(body).encode()
        number = (body.get("metadata") or {}).get("order_id", "12345")
        response = Response(status=vector["status"], body=content)
        outcome = told(vector["flow"], number, body.get("paymentId") or body.get("id"), response)
        assert type(outcome).__name__ == vector["outcome"], (
            f"{vector['source']}: {vector['flow']} makes {outcome!r} of it; mend the tables in"
            " paycore_mollie/messages.py"
        )
        for seen in observations(outcome):
            kind = "payment" if isinstance(seen, PaymentObservation) else "refund"
            assert str(seen.status) == vector.get(kind), f"{vector['source']}: the {kind} is {seen.status}"


def test_vectors_have_sources() -> None:
    """Each vector says where the company published it, and SOURCES.md lists that."""
    known = (HERE / "SOURCES.md").read_text(encoding="utf-8")
    for vector in VECTORS:
        url = vector.get("source", "").partition(",")[0]
        assert url.startswith("https://"), f"say where this is published: {vector}"
        assert url in known, f"write {url} into SOURCES.md, with the date on which it was read"


def test_refund_that_is_notified_hours_later_is_waited_for() -> None:
    """Mollie tells of a refund once it is carried out: the kit sets the clocks ahead for that."""
    (check,) = chosen(["refund_notification_is_of_its_refund"])
    assert run_check(Subject(provider=Mollie, sandbox=SANDBOX), check).verdict == "passed"


def test_key_shows_its_mode() -> None:
    """Test and live share a host: the key decides."""
    modes = {key: Mollie.mode_of(Settings(api_key=Secret(key))) for key in ("test_1aB", "live_1aB")}
    assert modes == {"test_1aB": "test", "live_1aB": "live"}


# --- helpers -----------------------------------------------------------------------------------------


def told(flow: str, number: str, id_: str | None, response: Response) -> Any:
    """What a flow returns when every request of it gets this reply."""
    provider: Any = Mollie(Settings(api_key=Secret("test_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM")))
    attempt = Attempt(sent_at=NOW, nonce="01M83XKPAAFY1V30QAE2QDCY8T")
    amount = Money("10.00", "EUR")
    order = OrderRef(
        kind="payment",
        number=number,
        provider_id=id_,
        begun_at=NOW,
        attempt=attempt,
        amount=amount,
        method="card",
        channel="web",
    )
    flows: dict[str, Callable[[], Any]] = {
        "create": lambda: provider.create(
            CreateOrder(
                number=number,
                begun_at=NOW,
                attempt=attempt,
                reference="order-1",
                amount=amount,
                method="card",
                channel="web",
                return_url="https://webshop.example.org/order/12345/",
            )
        ),
        "query": lambda: provider.query([order]),
        "close": lambda: provider.close(order),
        "refund": lambda: provider.refund(
            RefundOrder(number=number, begun_at=NOW, attempt=attempt, amount=amount, order=order)
        ),
    }
    conversation: Any = flows[flow]()
    next(conversation)
    try:
        while True:
            conversation.send(response)
    except StopIteration as stop:
        return stop.value


def observations(outcome: Any) -> list[PaymentObservation | RefundObservation]:
    """What an outcome reports."""
    value = outcome.value if isinstance(outcome, Done) else None
    if isinstance(value, Created):
        return [value.observation]
    if isinstance(value, Found):
        return list(value.observations)
    return [value] if isinstance(value, PaymentObservation | RefundObservation) else []
