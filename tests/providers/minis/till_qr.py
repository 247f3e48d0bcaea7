"""A till that scans the payer's code: paid at once, or after the payer's password; undone by a reversal."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Rejected,
    Request,
    RequestBudget,
    Secret,
    Status,
)
from tests.providers.minis.calls import document, no_answer, with_json

STATES = {"paid": Status.PAID, "reversed": Status.CLOSED, "refused": Status.FAILED}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    token: Secret


class TillQR:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-till",
        title="Scanned codes",
        settings=Settings,
        base_urls={"live": "https://api.till.example"},
        live_hosts=frozenset({"api.till.example"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="wallet",
                channel="barcode",
                currencies={"HKD": (1, 99_999_999)},
                required=frozenset({"auth_code"}),
                needs_action=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=32),
        budget=RequestBudget(per_second=10, per_minute=600),
        query_proves_absence_after_s=0.1,
    )

    def __init__(self, settings: Settings) -> None:
        self._head = {"authorization": f"Bearer {settings.token.reveal()}"}

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        code = order.auth_code.reveal() if order.auth_code else ""
        wanted = {"code": code, "minor": order.amount.minor}
        response = yield with_json("POST", f"/payments/{order.number}", wanted, self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        made = document(response)
        if made["state"] == "refused":
            return Rejected(failure=Failure(code="refused", message="the payer's bank refused"))
        return Done(Created(observation=_seen(order.number, made)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield Request(method="GET", path=f"/payments/{order.number}", headers=self._head)
        if response.status == 404:
            return Done(Found(absent=frozenset({order.number})))
        problem = no_answer(response)
        return problem or Done(Found(observations=(_seen(order.number, document(response)),)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        response = yield with_json("POST", f"/payments/{order.number}/reversal", {}, self._head)
        return no_answer(response) or Done(_seen(order.number, document(response)))


def _seen(number: str, made: dict[str, Any]) -> PaymentObservation:
    status = STATES.get(made["state"], Status.PENDING)
    return PaymentObservation(number=number, status=status, provider_id=made["id"])
