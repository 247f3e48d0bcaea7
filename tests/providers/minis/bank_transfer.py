"""A transfer to a virtual account: details to show, and no link, no close, no refund, no notification."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from paycore.plugin import (
    Capabilities,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Flow,
    Found,
    Instructions,
    Money,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Request,
    RequestBudget,
    Resend,
    Secret,
    Status,
)
from tests.providers.minis.calls import document, no_answer, with_json


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    token: Secret


class BankTransfer:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-transfer",
        title="Transfer to a virtual account",
        settings=Settings,
        base_urls={"live": "https://api.bank.example"},
        live_hosts=frozenset({"api.bank.example"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="bank_transfer",
                channel="web",
                currencies={"EUR": (1, 99_999_999)},
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=35),
        budget=RequestBudget(per_second=5, per_minute=100),
        create_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._head = {"authorization": f"Bearer {settings.token.reveal()}"}

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {"amount": order.amount.text, "currency": order.amount.currency}
        response = yield with_json("PUT", f"/accounts/{order.number}", wanted, self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        made = document(response)
        show = Instructions(fields={"iban": made["iban"], "name": made["name"], "reference": order.number})
        seen = PaymentObservation(number=order.number, status=Status.PENDING, provider_id=made["iban"])
        return Done(Created(observation=seen, action=show))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield Request(method="GET", path=f"/accounts/{order.number}", headers=self._head)
        if response.status == 404:
            return Done(Found(absent=frozenset({order.number})))
        if (problem := no_answer(response)) is not None:
            return problem
        made = document(response)
        received = Money(made["received"], order.amount.currency)
        seen = PaymentObservation(
            number=order.number,
            status=Status.PAID if received.minor else Status.PENDING,
            provider_id=made["iban"],
            amount=received if received.minor else None,
        )
        return Done(Found(observations=(seen,)))
