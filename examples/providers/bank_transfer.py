"""
A provider in one file: transfers to an account at Example Bank, read from its statement.

The payer is shown where to transfer the money to, and with which reference. There is no link, no close, no refund and
no notification: a query reads the statement. The second half of this file is a sandbox of the bank.

The bank's API (it is made up), JSON, with a bearer token; amounts are decimal text in major units:

    PUT /v1/expected/{number}    {amount, currency}: money is expected under this reference
                                 -> {reference, iban, holder, amount, currency}; the same again for the same request
    GET /v1/expected/{number}    -> the same; 404 where there is none
    GET /v1/statement?from=2026-11-28[&after=LINE]
                                 -> {lines: [{id, amount, currency, direction, text}], more}
                                 booked lines from that day on, oldest first, at most 1,000; `more`: ask again `after`
                                 the last one. `direction`: credit or debit; `text`: what the payer wrote

Errors are {error}: 401 and 403 for the token, 409 where a reference is in use with another amount, 422 for what the
bank does not take, 429 with Retry-After.

What is received is counted exactly:

- A transfer of the amount pays the order, and so do several that come to it, one after the other.
- Any other sum pays nothing and puts the payment under review: too little, too much, in another currency.
- A second payment of the whole amount is a charge of its own: the payment is `paid_twice`.
- What goes back under the reference is a charge back.
- Lines with other references, or none, are nobody's. One that names two orders is for a person to divide.

Payers retype references, so case, spaces, dashes and the letters that look like digits do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import quote

import msgspec

from paycore.plugin import (
    FLOW_REQUESTS_MAX,
    Capabilities,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    Instructions,
    InvalidField,
    Money,
    NotNow,
    NumberFormat,
    OrderRef,
    PartialAmount,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Rejected,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Status,
    Unknown,
    hookimpl,
    read_amount,
)
from paycore.sandbox.api import Document, NotPossible, SandboxOptions
from paycore.sandbox.scripted import (
    GatewayAnswer,
    GatewayRequest,
    OrderState,
    ScriptedGateway,
    ScriptedOrder,
    ScriptedSandbox,
)

T = TypeVar("T")

QUERIED_MAX = 4
"""Orders of one query: each may need a request of its own, and the statement needs the rest."""

EARLY = timedelta(days=1)
"""A line may be booked on the day before, by the bank's calendar."""


# --- messages ----------------------------------------------------------------------------------------


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's settings."""

    token: Secret


class Expected(msgspec.Struct):
    """Money that the bank expects under a reference."""

    reference: str
    iban: str
    holder: str
    amount: str
    currency: str


class Line(msgspec.Struct):
    """A booked line of the statement."""

    id: str
    amount: str
    currency: str
    direction: Literal["credit", "debit"]
    text: str = ""


class Statement(msgspec.Struct):
    """A page of the statement."""

    lines: list[Line]
    more: bool


class Refusal(msgspec.Struct):
    """What an error says."""

    error: str


# --- the provider ------------------------------------------------------------------------------------


class BankTransfer:
    """Transfers to one account at Example Bank."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="bank-transfer",
        title="Transfer to an account at Example Bank",
        settings=Settings,
        base_urls={"test": "https://api.test.bank.example", "live": "https://api.bank.example"},
        live_hosts=frozenset({"api.bank.example"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="bank_transfer",
                channel="web",
                currencies={"EUR": (1, 99_999_999), "HKD": (1, 99_999_999), "JPY": (1, 99_999_999)},
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=35),
        budget=RequestBudget(per_second=10, per_minute=300),
        query_batch_max=QUERIED_MAX,
        query_proves_absence_after_s=2.0,
        create_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Have the bank expect the money, and show the payer where to transfer it to."""
        wanted = {"amount": order.amount.text, "currency": order.amount.currency}
        made = yield from self._ask("PUT", f"/v1/expected/{order.number}", Expected, wanted)
        if not isinstance(made, Expected):
            return made or Unknown(problem="HTTP 404 to a PUT")
        if made.reference != order.number:
            return Unknown(problem="the answer is about another reference")
        return Done(Created(observation=_pending(order.number, made), action=_instructions(made)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Read the statement since the oldest of the orders; first ask for those whose reply was lost."""
        seen: list[PaymentObservation] = []
        absent: set[str] = set()
        for order in orders:
            if "expected" in order.ids:
                continue
            expected = yield from self._ask("GET", f"/v1/expected/{order.number}", Expected)
            if expected is None:
                absent.add(order.number)
            elif not isinstance(expected, Expected):
                return expected
            elif expected.reference != order.number:
                return Unknown(problem="the answer is about another reference")
            else:
                seen.append(_pending(order.number, expected, action=_instructions(expected)))
        there = [order for order in orders if order.number not in absent]
        if not there:
            return Done(Found(absent=frozenset(absent)))
        statement = yield from self._statement(there, FLOW_REQUESTS_MAX - QUERIED_MAX)
        if not isinstance(statement, Statement):
            return statement
        for order in there:
            seen += _received(order, statement.lines)
        unread = frozenset(order.number for order in there) if statement.more else frozenset()
        return Done(Found(observations=tuple(seen), absent=frozenset(absent), undecided=unread))

    def _statement(
        self, orders: Sequence[OrderRef], pages_max: int
    ) -> Flow[Statement | Rejected | NotNow | Unknown]:
        """All lines since the oldest of these orders; `more` where there are still others."""
        since = (min(order.begun_at for order in orders) - EARLY).date().isoformat()
        read = Statement(lines=[], more=True)
        for _ in range(pages_max):
            after = f"&after={quote(read.lines[-1].id, safe='')}" if read.lines else ""
            page = yield from self._ask("GET", f"/v1/statement?from={since}{after}", Statement)
            if not isinstance(page, Statement):
                return page or Unknown(problem="HTTP 404 to a statement")
            read.lines += page.lines
            read.more = page.more
            if not page.more or not page.lines:
                break
        return read

    def _ask(
        self, method: Literal["GET", "PUT"], path: str, kind: type[T], wanted: Mapping[str, str] | None = None
    ) -> Flow[T | Rejected | NotNow | Unknown | None]:
        """One request and what its answer says; None where the bank knows no such thing."""
        headers = {
            "authorization": f"Bearer {self._settings.token.reveal()}",
            "content-type": "application/json",
        }
        body = b"" if wanted is None else msgspec.json.encode(wanted)
        # To expect money moves none; but it must not be taken for unsent once the bank may have it.
        response = yield Request(method=method, path=path, headers=headers, body=body)
        if response.status == 429:  # whatever its body: some proxy's page
            return _not_now(response)
        try:
            if response.status == 200:
                return msgspec.json.decode(response.body, type=kind)
            refusal = msgspec.json.decode(response.body, type=Refusal)
        except (
            msgspec.MsgspecError,
            ValueError,
            RecursionError,
        ):  # no JSON, other JSON, bytes that are no text
            return Unknown(problem=f"HTTP {response.status} without an answer")
        if response.status == 404 and method == "GET" and refusal.error == "not_expected":
            return None
        return _refused(response, refusal.error)


def _not_now(response: Response) -> NotNow:
    wait_s = response.headers.get("retry-after", "")
    return NotNow(
        problem="too many requests",
        retry_after_s=float(wait_s) if re.fullmatch(r"[0-9]{1,4}", wait_s) else 1.0,
    )


def _refused(response: Response, code: str) -> Rejected | Unknown:
    """What an error says about the money; one that the bank does not document says nothing."""
    match response.status, code:
        case 401 | 403, "token_invalid" | "not_permitted":
            failure = Failure(code=code, message="the bank refuses the token", who_acts="operator")
            return Rejected(failure=failure)
        case 409, "reference_in_use":
            failure = Failure(code=code, message="the reference is in use", who_acts="provider")
            return Rejected(failure=failure, is_duplicate=True)
        case 422, "currency_not_taken" | "amount_not_taken":
            return Rejected(
                failure=Failure(code=code, message="the bank does not take it", who_acts="caller")
            )
        case _:
            return Unknown(problem=f"HTTP {response.status}: {code}")


def _pending(number: str, expected: Expected, action: Instructions | None = None) -> PaymentObservation:
    """That the bank expects the money. It has no id of its own for that: what pays is a line of the statement."""
    amount, partial = _amount(expected.amount, expected.currency)
    return PaymentObservation(
        number=number,
        status=Status.PENDING,
        ids={"expected": expected.reference},
        amount=amount,
        partial_amount=partial,
        action=action,
    )


def _instructions(expected: Expected) -> Instructions:
    return Instructions(
        fields={"holder": expected.holder, "iban": expected.iban, "reference": expected.reference}
    )


def _amount(text: str, currency: str) -> tuple[Money | None, PartialAmount | None]:
    """The amount and partial amount of an observation."""
    try:
        return Money(text, currency), None
    except InvalidField:
        return read_amount(None, None, unreadable=f"{text} {currency}")


# --- what was received -------------------------------------------------------------------------------


def _received(order: OrderRef, lines: Sequence[Line]) -> list[PaymentObservation]:
    """
    What these lines, in the order they were booked in, say about an order: its charges, and what is for a person.

    A charge is the line by which the amount was complete. Lines are only ever added, so it stays the same one.
    """
    charges: list[str] = []
    odd: list[PaymentObservation] = []
    wanted, open_minor, returned_minor = order.amount.minor, 0, 0
    for line in lines:
        if not _names(line.text, order.number):
            continue
        amount, partial = _amount_of(line)
        if amount is None or amount.currency != order.amount.currency:
            odd.append(_seen(order, amount=amount, partial_amount=partial))
        elif line.direction == "debit":
            from_open = min(open_minor, amount.minor)
            open_minor -= from_open
            returned_minor += amount.minor - from_open
        elif amount.minor == wanted:
            charges.append(line.id)
        elif open_minor + amount.minor == wanted:
            charges.append(line.id)
            open_minor = 0
        else:
            open_minor += amount.minor
    if open_minor:
        odd.append(_seen(order, amount=Money.from_minor(open_minor, order.amount.currency)))
    return [*_paid(order, charges, returned_minor), *odd] or [_seen(order)]


def _paid(order: OrderRef, charges: Sequence[str], returned_minor: int) -> list[PaymentObservation]:
    """Each charge, and with the first what went back of all."""
    back_minor = min(returned_minor, len(charges) * order.amount.minor)
    return [
        PaymentObservation(
            number=order.number,
            status=Status.PAID,
            provider_id=line_id,
            amount=order.amount,
            charged_back_minor=back_minor if line_id == charges[0] else None,
        )
        for line_id in charges
    ]


def _seen(order: OrderRef, **amount: Any) -> PaymentObservation:
    """An order that is open; with an amount that is not its own, it needs review."""
    return PaymentObservation(number=order.number, status=Status.PENDING, **amount)


def _amount_of(line: Line) -> tuple[Money | None, PartialAmount | None]:
    """What the line pays to one order; none where it names several."""
    if len(set(_WORD.findall(_plain(line.text)))) > 1:
        return read_amount(None, None, unreadable=f"{line.amount} {line.currency} for several orders")
    return _amount(line.amount, line.currency)


_WORD = re.compile(r"\b[0-9A-Z]{26}\b")
_LOOK_ALIKE = str.maketrans("ILO", "110")
"""Letters that no number has, and what they are typed for."""


def _names(text: str, number: str) -> bool:
    """Whether the payer wrote this number: perhaps in small letters, in groups, or with an O for a zero."""
    return number in re.sub(r"[^0-9A-Z]", "", _plain(text))


def _plain(text: str) -> str:
    return text.upper().translate(_LOOK_ALIKE)


# --- the sandbox -------------------------------------------------------------------------------------

TOKEN = "sandbox-bank-token"
PAGE = 50
"""Lines on a page of this sandbox."""

DECIMALS = {"EUR": 2, "HKD": 2, "JPY": 0}


class BankGateway(ScriptedGateway):
    """Example Bank. A payer who pays transfers the whole amount; `transfer` books any other line."""

    name = "bank-transfer"
    settings: Mapping[str, str] = {"token": TOKEN}
    asks_for: Mapping[str, str] = {"create": "PUT /v1/expected/.*", "query": "GET /v1/.*"}

    def __init__(self, options: SandboxOptions) -> None:
        super().__init__(options)
        self.lines: list[tuple[str, dict[str, str]]] = []
        """Each with the day it was booked on."""

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The bank's API."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return GatewayAnswer({"error": "token_invalid"}, status=401)
        if asked.path == "/v1/statement" and asked.method == "GET":
            return self._statement(asked.query.get("from", ""), asked.query.get("after"))
        kind, _, number = asked.path.removeprefix("/v1/").partition("/")
        if kind != "expected" or not number:
            return GatewayAnswer({"error": "no_such_path"}, status=404)
        if asked.method == "PUT":
            return self._expect(number, asked.document)
        order = self.find(number)
        return (
            GatewayAnswer({"error": "not_expected"}, status=404) if order is None else self._expected(order)
        )

    def transfer(self, text: str, amount: str, currency: str, *, direction: str = "credit") -> str:
        """Book a line; returns its id."""
        line = {
            "id": f"L{self.serial()}",
            "amount": amount,
            "currency": currency,
            "direction": direction,
            "text": text,
        }
        day = datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC).date().isoformat()
        self.lines.append((day, line))
        return line["id"]

    def change(self, order: ScriptedOrder, state: OrderState, *, paid_minor: int | None = None) -> None:
        """The payer transfers the amount; nothing else can be told to a bank."""
        if state != "paid":
            raise NotPossible("a transfer can't be declined, and does not expire: it comes, or it does not")
        minor = order.minor if paid_minor is None else paid_minor
        self.transfer(f"Payment {order.number}", _written(minor, order.currency), order.currency)
        super().change(order, state, paid_minor=paid_minor)

    def charge_back(self, number: str, minor: int | None) -> Document:
        """The payer's bank calls `minor` (None: all) back."""
        with self._lock:
            order = self._existing(number)
            if order.state != "paid":
                raise NotPossible("nothing was transferred")
            back = _written(order.paid_minor if minor is None else minor, order.currency)
            self.transfer(f"Recall {order.number}", back, order.currency, direction="debit")
            return self._document(order)

    def _expect(self, number: str, wanted: dict[str, Any]) -> GatewayAnswer:
        self.requests[number] += 1
        amount, currency = str(wanted.get("amount")), str(wanted.get("currency"))
        if currency not in DECIMALS:
            return GatewayAnswer({"error": "currency_not_taken"}, status=422)
        if re.fullmatch(rf"[0-9]{{1,9}}(\.[0-9]{{{DECIMALS[currency]}}})?", amount) is None:
            return GatewayAnswer({"error": "amount_not_taken"}, status=422)
        minor, order = int(amount.replace(".", "")), self.find(number)
        if order is None:
            order = self.place(number, minor, currency, method="bank_transfer", channel="web")
        elif (order.minor, order.currency) != (minor, currency):
            return GatewayAnswer({"error": "reference_in_use"}, status=409)
        return self._expected(order)

    def _expected(self, order: ScriptedOrder) -> GatewayAnswer:
        return GatewayAnswer(
            {
                "reference": order.number,
                "iban": "DE89370400440532013000",
                "holder": "Example Shop Ltd",
                "amount": _written(order.minor, order.currency),
                "currency": order.currency,
            }
        )

    def _statement(self, since: str, after: str | None) -> GatewayAnswer:
        lines = [line for day, line in self.lines if day >= since]
        known = [line["id"] for line in lines]
        start = known.index(after) + 1 if after in known else 0
        return GatewayAnswer({"lines": lines[start : start + PAGE], "more": len(lines) > start + PAGE})


def _written(minor: int, currency: str) -> str:
    """An amount as the bank writes it."""
    decimals = DECIMALS[currency]
    whole, part = divmod(minor, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


# --- what paycore is told of -------------------------------------------------------------------------


@hookimpl
def paycore_register_providers() -> list[type[BankTransfer]]:
    """The provider."""
    return [BankTransfer]


@hookimpl
def paycore_register_sandboxes() -> list[ScriptedSandbox]:
    """The sandbox, for `paycore sandbox serve bank-transfer`."""
    return [ScriptedSandbox(BankGateway)]
