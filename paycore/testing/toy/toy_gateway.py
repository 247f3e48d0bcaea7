"""The toy's gateway: the provider's server, as a plain object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from paycore.plugin import Request, Response
from paycore.testing.toy.toy_answers import SIGNATURE_HEADER, SUBJECT_MAX, sign

Duplicates = Literal["refuse", "same_result", "charge_blindly"]

NUMBER_MAX = 32
"""Characters of a number that the gateway takes."""

PAGE = 100
"""Records on a page of the list."""


class ToyOrder:
    """
    One order or refund the gateway holds.

    `taken` is the total that was captured of a held order, None for any other; `owner` is the key of the account that
    made it, where the gateway wants a token. `authorized_at` is when the payer agreed last.
    """

    def __init__(self, number: str, kind: Literal["payment", "refund"], minor: int, currency: str) -> None:
        self.number = number
        self.kind = kind
        self.minor = minor
        self.currency = currency
        self.status = "pending"
        self.refunded = 0
        self.id = ""
        self.channel = ""
        self.reference: str | None = None
        self.owner = ""
        self.of_number = self.of_id = ""
        """A refund's order, of which there may be several with one number."""
        self.ends_at: datetime | None = None
        """When a refund that is pending succeeds."""
        self.made_at: datetime | None = None
        self.authorized_at: datetime | None = None
        self.expires_at: datetime | None = None
        self.taken: int | None = None
        self.charged_back = 0
        self.charge_back_won = 0

    @property
    def is_held(self) -> bool:
        """Whether its money is taken by a capture."""
        return self.channel in ("hold", "tab")

    @property
    def paid_minor(self) -> int:
        """What a paid order took."""
        return self.minor if self.taken is None else self.taken

    def record(self) -> dict[str, Any]:
        """As in the answer to a query and in a notification."""
        fields = ("number", "kind", "id", "status", "minor", "currency", "refunded")
        return {name: getattr(self, name) for name in fields} | dict(self._further())

    def _further(self) -> Iterator[tuple[str, Any]]:
        """What only some orders have."""
        if self.status == "authorized" and self.authorized_at is not None:
            yield "at", self.authorized_at.isoformat()
        if self.is_held and self.authorized_at is not None:
            captured = {"capture": f"K{self.id}"} if self.taken is not None else {}
            yield "ids", {"authorization": f"A{self.id}", **captured}
        if self.status == "paid" and self.taken is not None:
            yield "paid", self.taken
        if self.charged_back:
            yield "charged_back", self.charged_back
        if self.charge_back_won:
            yield "charge_back_won", self.charge_back_won


class ToyCapture(msgspec.Struct, frozen=True):
    """Money the gateway took of an authorized order."""

    number: str
    order_id: str
    minor: int
    taken_at: datetime


class ToyGateway:
    """
    The provider's server: answers requests, stores orders, counts charges.

    `duplicates`: a second create, capture or refund with the same number is refused, answered with what the first one
    made, or takes money a second time ("charge_blindly"). `window_s`: after it a number is forgotten, and taken
    for a new one. `needs_token`: every request needs one from `/token`, and sees its own account's orders only. `page`:
    records on a page of the list. `refund_takes_s`: a refund is pending for so long, None: it is made at once.
    `expires`: an order can be paid for the time that it was given, else for ever.

    `reject` is the error for the next creates, `declines_captures` refuses captures for the payer (`to_decline`: the
    next one of each order with such a number), and `put_off` the requests of a path for now, with the seconds after
    which to try again. `clock` tells the time.
    """

    def __init__(
        self,
        *,
        duplicates: Duplicates = "refuse",
        key: str = "toy",
        window_s: float | None = None,
        needs_token: bool = False,
        token_lasts_s: float | None = None,
        page: int = PAGE,
        refund_takes_s: float | None = None,
        expires: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.page = page
        self.orders: list[ToyOrder] = []
        self.captures: list[ToyCapture] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.duplicates = duplicates
        self.key = key
        self.window_s = window_s
        self.needs_token = needs_token
        self.token_lasts_s = token_lasts_s
        self.refund_takes_s = refund_takes_s
        self.expires = expires
        self.tokens: dict[str, str] = {}
        """The key that each valid token was got with."""
        self.token_ends: dict[str, datetime] = {}
        self.tokens_made = 0
        self.clock = clock
        self.reject: str | None = None
        self.declines_captures = False
        self.to_decline: set[str] = set()
        self.put_off: dict[str, float] = {}
        self._caller = ""

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        self.end_refunds()
        self.end_orders()
        fields = msgspec.json.decode(request.body)
        self.requests.append((request.path, fields))
        return Response(status=200, body=msgspec.json.encode(self._answer(request, fields)))

    def _answer(self, request: Request, fields: dict[str, Any]) -> dict[str, Any]:
        if request.path in self.put_off:
            return {"error": "not_now", "retry_after_s": self.put_off[request.path]}
        if request.path == "/token":
            return self._token(fields)
        self._caller = self._key_of(request)
        if self.needs_token and not self._caller:
            return {"error": "session_refused"}
        handler = {
            "/orders": self._create,
            "/query": self._query,
            "/captures": self._capture,
            "/refunds": self._refund,
            "/close": self._close,
            "/list": self._list,
        }[request.path]
        return handler(fields)

    # --- what happens without a request ----------------------------------------------------------------

    def pay(self, number: str) -> None:
        """The payer pays the newest open order with this number, or agrees; RuntimeError when there is none."""
        self.end_orders()
        for order in reversed(self.orders):
            if order.number == number and order.status == "pending" and order.kind == "payment":
                self._agree(order)
                return
        raise RuntimeError("nothing to pay under this number")

    def end_orders(self) -> None:
        """Close what can't be paid any more."""
        for order in self.orders:
            if (
                order.status == "pending"
                and order.expires_at is not None
                and order.expires_at <= self.clock()
            ):
                order.status = "closed"

    def charge_back(self, number: str, minor: int | None = None) -> None:
        """The payer's bank takes `minor` (None: all) of this order back."""
        order = self._paid(number)
        order.charged_back += order.paid_minor if minor is None else minor

    def win_charge_back(self, number: str, minor: int | None = None) -> None:
        """The merchant gets `minor` (None: all) of what was taken back."""
        order = self._paid(number)
        order.charge_back_won += order.charged_back - order.charge_back_won if minor is None else minor

    def reverse(self, number: str) -> None:
        """A refund that succeeded comes back, and one that is pending fails."""
        refund = self._newest(number)
        if refund is None or refund.status not in ("pending", "succeeded"):
            raise RuntimeError("no such refund has succeeded, or can")
        if refund.status == "pending":
            refund.status = "failed"
            return
        refund.status = "reversed"
        for order in self.orders:
            if order.id == refund.of_id and order.status == "paid":
                order.refunded -= refund.minor
                return

    def end_refunds(self) -> None:
        """What is pending of the refunds succeeds once its time has come."""
        for refund in self.orders:
            if refund.status == "pending" and refund.ends_at is not None and self.clock() >= refund.ends_at:
                refund.status, refund.ends_at = "succeeded", None
                next(o for o in self.orders if o.id == refund.of_id).refunded += refund.minor

    def refuse_tokens(self) -> None:
        """No token that was given holds any more."""
        self.tokens.clear()

    def _agree(self, order: ToyOrder) -> None:
        order.status = "authorized" if order.is_held else "paid"
        if order.is_held:
            order.authorized_at = self.clock()

    def _paid(self, number: str) -> ToyOrder:
        order = next((o for o in self.orders if o.number == number and o.status == "paid"), None)
        if order is None:
            raise RuntimeError("nothing was paid under this number")
        return order

    # --- what is asked by tests --------------------------------------------------------------------------

    def charged(self, number: str) -> int:
        """How many orders with this number were paid."""
        return sum(o.number == number and o.kind == "payment" and o.status == "paid" for o in self.orders)

    def captured(self, number: str) -> int:
        """How often money of the orders with this number was captured."""
        ids = {order.id for order in self.orders if order.number == number}
        return sum(capture.order_id in ids for capture in self.captures)

    def notification(self, number: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a genuine notification of the newest order or refund with this number."""
        body = msgspec.json.encode(self._existing(number).record())
        return body, {SIGNATURE_HEADER: sign(body, self.key)}

    def mention(self, number: str, name: str = "") -> tuple[bytes, dict[str, str]]:
        """Body and headers of an unsigned notification with its id, or with its further id of this name."""
        order = self._existing(number)
        named = order.record()["ids"][name] if name else order.id
        return msgspec.json.encode({"id": named}), {}

    # --- requests ------------------------------------------------------------------------------------------

    def _key_of(self, request: Request) -> str:
        """The key of the account that sends it, by its token; empty where that does not hold."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        ends = self.token_ends.get(token)
        return self.tokens.get(token, "") if ends is None or self.clock() < ends else ""

    def _token(self, fields: dict[str, Any]) -> dict[str, Any]:
        self.tokens_made += 1
        token = f"token-{self.tokens_made}"
        self.tokens[token] = fields["key"]
        if self.token_lasts_s is not None:
            self.token_ends[token] = self.clock() + timedelta(seconds=self.token_lasts_s)
        return {"token": token, "lasts_s": self.token_lasts_s}

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        problem = self.reject or self._create_problem(fields)
        if problem is not None:
            return {"error": problem}
        known = self._remembered(fields["number"])
        if known is not None and self.duplicates == "refuse":
            return {"error": "duplicate"}
        if known is None or self.duplicates == "charge_blindly":
            known = self._add(ToyOrder(fields["number"], "payment", fields["minor"], fields["currency"]))
            known.channel, known.reference = fields["channel"], fields["reference"]
            if self.expires and "expires_in_s" in fields:
                known.expires_at = self.clock() + timedelta(seconds=fields["expires_in_s"])
            if known.channel in ("card", "tab"):
                self._agree(known)
        has_link = known.channel not in ("card", "tab")
        return {**known.record(), "url": f"https://toy.example/pay/{known.id}" if has_link else None}

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        if len(fields["number"]) > NUMBER_MAX:
            return "number_too_long"
        return "subject_too_long" if len(fields.get("subject", "")) > SUBJECT_MAX else None

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        wanted, ids = set(fields.get("numbers", ())), set(fields.get("ids", ()))
        return {"records": [o.record() for o in self._own() if o.number in wanted or o.id in ids]}

    def _capture(self, fields: dict[str, Any]) -> dict[str, Any]:
        order = self._of(fields["authorization"], fields["order"])
        if order is None:
            return {"error": "no_such_order"}
        earlier = [capture for capture in self.captures if capture.number == fields["number"]]
        if earlier and self._remembers(earlier[-1].taken_at) and self.duplicates != "charge_blindly":
            return {"error": "duplicate"} if self.duplicates == "refuse" else order.record()
        problem = self._capture_problem(order, fields["minor"])
        if problem is not None:
            return {"error": problem}
        self.captures.append(ToyCapture(fields["number"], order.id, fields["minor"], self.clock()))
        order.status, order.taken = "paid", (order.taken or 0) + fields["minor"]
        return order.record()

    def _capture_problem(self, order: ToyOrder, minor: int) -> str | None:
        if order.status == "authorized":
            if self.declines_captures or order.number in self.to_decline:
                self.to_decline.discard(order.number)
                order.status = "pending"
                return "declined"
            return "too_much" if minor > order.minor else None
        if order.status == "paid":
            return None if self.duplicates == "charge_blindly" else "already_captured"
        return "voided" if order.status == "closed" else "not_authorized"

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        known = self._remembered(fields["number"])
        if known is not None:
            return {"error": "duplicate"} if self.duplicates == "refuse" else known.record()
        paid = next((o for o in self._own() if o.id == fields["charge"] and o.status == "paid"), None)
        if paid is None or self._asked_back(paid) + fields["minor"] > paid.paid_minor:
            return {"error": "too_much"}
        refund = self._add(ToyOrder(fields["number"], "refund", fields["minor"], paid.currency))
        refund.of_number, refund.of_id = paid.number, paid.id
        refund.ends_at = self.clock() + timedelta(seconds=self.refund_takes_s or 0.0)
        self.end_refunds()
        return refund.record()

    def _asked_back(self, paid: ToyOrder) -> int:
        pending = (o for o in self.orders if o.of_id == paid.id and o.status == "pending")
        return paid.refunded + sum(refund.minor for refund in pending)

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        own = [order for order in self._own() if order.number == fields["number"]]
        if not own:
            return {"error": "no_such_order"}
        for order in own:
            if order.status in ("pending", "authorized"):
                order.status = "closed"
        return own[-1].record() if own[-1].status == "closed" else {"error": "already_paid"}

    def _list(self, fields: dict[str, Any]) -> dict[str, Any]:
        since, until = (datetime.fromisoformat(fields[name]) for name in ("since", "until"))
        own = [o for o in self._listed() if o.made_at is not None and since <= o.made_at < until]
        start = int(fields["cursor"] or 0)
        page, end = own[start : start + self.page], start + self.page
        return {
            "records": [{**order.record(), "reference": order.reference} for order in page],
            "cursor": str(end) if len(own) > end else None,
        }

    def _listed(self) -> Sequence[ToyOrder]:
        """What the list shows, whenever it was made."""
        return self._own()

    # --- what is held --------------------------------------------------------------------------------------

    def _own(self) -> list[ToyOrder]:
        """The orders and refunds that the account which asks can see."""
        return [order for order in self.orders if order.owner == self._caller]

    def _of(self, provider_id: str | None, number: str) -> ToyOrder | None:
        own = [o for o in self._own() if o.id == provider_id or (provider_id is None and o.number == number)]
        return own[-1] if own else None

    def _newest(self, number: str) -> ToyOrder | None:
        return next((order for order in reversed(self.orders) if order.number == number), None)

    def _existing(self, number: str) -> ToyOrder:
        order = self._newest(number)
        if order is None:
            raise RuntimeError("no such order")
        return order

    def _remembered(self, number: str) -> ToyOrder | None:
        """The newest with this number, None once the gateway has forgotten it."""
        known = next((order for order in reversed(self._own()) if order.number == number), None)
        return known if known is not None and self._remembers(known.made_at) else None

    def _remembers(self, at: datetime | None) -> bool:
        if self.window_s is None or at is None:
            return True
        return self.clock() < at + timedelta(seconds=self.window_s)

    def _add(self, order: ToyOrder) -> ToyOrder:
        order.id = f"T{len(self.orders) + 1:06d}"
        order.made_at, order.owner = self.clock(), self._caller
        self.orders.append(order)
        return order
