"""What the toy's gateway answers and tells, and how its provider reads that."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from paycore.plugin import (
    Failure,
    InvalidField,
    Money,
    NotNow,
    Observation,
    PartialAmount,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Rejected,
    Request,
    Response,
    Secret,
    Status,
    read_amount,
)

RefusalT = TypeVar("RefusalT", bound="ToyRefusal")

SIGNATURE_HEADER = "x-toy-signature"
TIME_HEADER = "x-toy-time"
"""When it was signed, in Unix seconds; signed before the body, where the gateway sends it."""

LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SUBJECT_MAX = 20
"""Characters of an order's subject that the gateway takes."""

UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError, InvalidField)
"""Raised for bytes that are not the expected JSON, and for invalid statuses and amounts in it."""

Word = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z", max_length=256)]

WHO_ACTS = {
    "bad_key": "operator",
    "no_such_order": "caller",
    "already_captured": "caller",
    "voided": "caller",
}
"""Whose turn it is after a refusal, where it is not the payer's."""


class ToyRefusal(msgspec.Struct, kw_only=True):
    """`error`, where the gateway refuses: `not_now` and `session_refused` for now, anything else for good."""

    error: Word | None = None
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=24 * 3600)] = 0.0


class ToyFacts(ToyRefusal, kw_only=True):
    """What is told of an order or a refund. Totals are there only once they are not 0."""

    id: Word = ""
    status: str = ""
    minor: int | None = None
    currency: str | None = None
    at: datetime | None = None
    ids: dict[Word, Word] = {}
    paid: int | None = None
    charged_back: int | None = None
    charge_back_won: int | None = None


class ToyAnswer(ToyFacts, kw_only=True):
    """The answer to one order, capture, refund or close, whose `number` it has; `url` is the payer's link."""

    number: str | None = None
    url: str | None = None


class ToyRecord(ToyFacts, kw_only=True):
    """One order or refund in the answer to a query, in a list, or in a notification."""

    number: str
    kind: Literal["payment", "refund"]
    refunded: int = 0
    reference: Word | None = None


class ToyRecords(ToyRefusal, kw_only=True):
    """The answer to a query, and to a list, where `cursor` is that of the next page."""

    records: list[ToyRecord] | UnsetType = UNSET
    cursor: Word | None = None


class ToyHead(msgspec.Struct, kw_only=True):
    """What every signed notification has."""

    number: str
    kind: str


class ToyHint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An unsigned notification: the id of what has changed."""

    id: Annotated[Word, msgspec.Meta(min_length=1)]


class ToyToken(ToyRefusal, kw_only=True):
    """The answer to a request for a token, which lasts that long."""

    token: Word = ""
    lasts_s: float | None = None


TOO_MANY_REQUESTS = 429
"""The status of `not_now` where the budget was exceeded; of every other answer it is 200."""


def sign(body: bytes, key: str, time: str = "") -> str:
    """The signature of a notification: HMAC-SHA256 over its raw body, after `TIME.` where it has one; hex."""
    signed = f"{time}.".encode() + body if time else body
    return hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()


def signed_form(fields: Mapping[str, Any], key: str) -> bytes:
    """A form of these fields in the order of their names, and `sign`: the signature of all that is before it."""
    plain = urlencode(sorted((name, str(value)) for name, value in fields.items()))
    return f"{plain}&sign={sign(plain.encode(), key)}".encode()


def post(
    path: str, fields: dict[str, Any], token: Secret | None = None, *, safe: bool | None = None
) -> Request:
    """One request to the gateway, with the account's token where there is one."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token.reveal()}"
    return Request(method="POST", path=path, headers=headers, body=msgspec.json.encode(fields), safe=safe)


def read(response: Response, kind: type[RefusalT]) -> RefusalT:
    """The response as `kind`; one of `UNREADABLE` for any other. HTTP 429 is `not_now`, whatever its body."""
    if response.status == TOO_MANY_REQUESTS:
        return kind(error="not_now", retry_after_s=_pause_s(response))
    if response.status != 200:
        raise ValueError("neither an answer nor a refusal")
    # Decoding first also checks unknown fields for valid UTF-8.
    return msgspec.json.decode(response.body.decode(), type=kind)


def _pause_s(response: Response) -> float:
    """What a 429 says of when to try again: in its body, where that is the gateway's own; else nothing."""
    try:
        return msgspec.json.decode(response.body, type=ToyRefusal).retry_after_s
    except msgspec.MsgspecError:
        return 0.0


def refused(answer: ToyRefusal) -> Rejected | NotNow:
    """What a refusal means."""
    error = answer.error or ""
    if error == "not_now":
        return NotNow(problem="too many requests", retry_after_s=answer.retry_after_s)
    if error == "session_refused":
        return NotNow(problem="the token does not hold", is_session_refused=True)
    if error == "duplicate":
        return Rejected(failure=Failure(code=error, message="number in use"), is_duplicate=True)
    who = WHO_ACTS.get(error, "payer")
    return Rejected(failure=Failure(code=error, message=error.replace("_", " "), who_acts=who))  # type: ignore[arg-type]


def read_record(body: bytes) -> Observation:
    """What a record says, for instance the body of a notification."""
    return observation_in(msgspec.json.decode(body, type=ToyRecord))


def observation_in(record: ToyRecord) -> Observation:
    """What is observed of the order or refund in this record."""
    if record.kind == "payment":
        return order_in(record.number, record, record.refunded)
    return refund_in(record.number, record)


def order_in(number: str, told: ToyFacts, refunded: int | None = None) -> PaymentObservation:
    """What is observed of the order with this number."""
    amount, partial = _amounts(told)
    status = Status(told.status)
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=told.id,
        ids=told.ids,
        amount=amount,
        partial_amount=partial,
        paid_minor=told.paid,
        refunded_minor=refunded,
        charged_back_minor=told.charged_back,
        charge_back_won_minor=told.charge_back_won,
        occurred_at=told.at,
    )


def refund_in(number: str, told: ToyFacts) -> RefundObservation:
    """What is observed of the refund with this number."""
    amount, partial = _amounts(told)
    return RefundObservation(
        number=number,
        status=RefundStatus(told.status),
        provider_id=told.id,
        ids=told.ids,
        amount=amount,
        partial_amount=partial,
        occurred_at=told.at,
    )


def _amounts(told: ToyFacts) -> tuple[Money | None, PartialAmount | None]:
    """The amount that is told; ValueError for an unreadable one, which makes the whole answer unreadable."""
    amount, partial = read_amount(told.minor, told.currency)
    if partial is not None and partial.unreadable is not None:
        raise ValueError(partial.unreadable)
    return amount, partial
