"""A bank's payment initiation: it knows its customer by a client certificate, and payments are put under our number."""

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
    Flow,
    Found,
    Money,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    Request,
    RequestBudget,
    Resend,
    Status,
)
from tests.providers.minis.calls import document, no_answer, with_json

STATES = {"ACSC": Status.PAID, "RJCT": Status.FAILED, "CANC": Status.CLOSED}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    iban: str


class Bank:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-bank",
        title="Payment initiation at a bank",
        settings=Settings,
        base_urls={"live": "https://psd2.bank.example"},
        live_hosts=frozenset({"psd2.bank.example"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="bank_transfer",
                channel="web",
                currencies={"EUR": (1, 99_999_999)},
                required=frozenset({"return_url"}),
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=35),
        budget=RequestBudget(per_second=5, per_minute=100),
        query_proves_absence_after_s=0.1,
        create_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._iban = settings.iban

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {"iban": self._iban, "amount": order.amount.text, "return": order.return_url}
        response = yield with_json("PUT", f"/payments/{order.number}", wanted, {})
        if (problem := no_answer(response)) is not None:
            return problem
        made = document(response)
        return Done(Created(observation=_seen(order.number, made), action=Redirect(url=made["authorise"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield Request(method="GET", path=f"/payments/{order.number}")
        if response.status == 404:
            return Done(Found(absent=frozenset({order.number})))
        problem = no_answer(response)
        return problem or Done(Found(observations=(_seen(order.number, document(response)),)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        response = yield with_json("PATCH", f"/payments/{order.number}", {"state": "CANC"}, {})
        return no_answer(response) or Done(_seen(order.number, document(response)))


def _seen(number: str, made: dict[str, Any]) -> PaymentObservation:
    return PaymentObservation(
        number=number,
        status=STATES.get(made["state"], Status.PENDING),
        provider_id=made["id"],
        amount=Money(made["amount"], "EUR"),
    )
