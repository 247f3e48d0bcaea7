"""
The result codes: what each `respcd` of QFPay means, who acts, and what to do.

The same code means different things by operation and even by text; `resolve` decides which. A code that is not in the
table is neither success nor failure.

Sources: sdk.qfapi.com "Transaction Status Codes" (2026) for the list in force; codes marked "old list" stand
only in QFPay/QFPAY_Global `appendix.md` (2017) and "QFPay API in Japanese Business" §1.2.4 (2018).
Classes and live meanings: SOURCES.md §6 and §5.1, read 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from paycore.plugin import Failure
from qfpay_alipay.messages import Answer

Actor = Literal["payer", "caller", "operator", "provider"]
Asked = Literal["create", "refund", "close", "query", "payment record", "refund record"]
"""What a code is the result of: an operation, a query as a whole, or one record found by a query."""

OUR_SIGNATURE_WRONG = "1108"
"""The result of a request whose signature QFPay does not accept."""


class Meaning(StrEnum):
    """What a result code means; `JUDGEMENTS` says what it comes to for each operation."""

    ACCEPTED = "accepted"
    """The request was accepted. For a scanned code, a refund or a record this is also success."""
    PENDING = "pending"
    """The result is not known yet: query again."""
    LATER = "later"
    """A temporary fault; whether money moved is not known: query before trying again."""
    DECLINED = "declined"
    """This attempt took no money; the payer may try again with a new order."""
    CLOSED = "closed"
    """The order is closed or has expired, for good."""
    STATE = "state"
    """The order is not in the state that the request needs: query and compare."""
    DUPLICATE = "duplicate"
    """The number is in use at QFPay already."""
    REFUSED = "refused"
    """Credentials, settings or format are wrong: refused until they are corrected."""
    LIMITED = "limited"
    """A rule forbids it; nothing moved."""
    NOT_NOW = "not now"
    """A rule forbids it at this time; nothing moved, and the same may be asked for later."""
    UNKNOWN = "unknown"
    """No meaning is documented."""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the code's meaning, who acts, and advice."""

    respcd: str
    meaning: Meaning
    who_acts: Actor
    advice: str


_ASK = "Query the order before anything else; whether money moved is not known."
_INTERNAL = "A fault inside QFPay; query the order, and tell QFPay if it lasts."
_NEW = "Ask the payer to try again, with a new order."
_SETTINGS = "Ask QFPay which store or device setting of this account is wrong."
_REPEATED = "The number was used before; query it, and never send it again blindly."
_REFUSED_ACCOUNT = "The payer's account is refused (old list); use another."
_NO_ROUTE = "QFPay could not route it (old list); query, then try again."
_UNDOCUMENTED = "Undocumented beyond its number (old list); query the order."
_NO_PARTIAL = "Refund the whole amount in one piece."

_A, _P, _L, _D = Meaning.ACCEPTED, Meaning.PENDING, Meaning.LATER, Meaning.DECLINED
_C, _S, _R, _X = Meaning.CLOSED, Meaning.STATE, Meaning.REFUSED, Meaning.LIMITED
_N = Meaning.NOT_NOW

_ROWS: tuple[tuple[str, Meaning, Actor, str], ...] = (
    ("0000", _A, "payer", "Accepted; only a query or a notification says whether it was paid."),
    ("1100", _L, "provider", "QFPay is under maintenance; query, then try again later."),
    ("1101", _L, "provider", "The reversal went wrong; query the order before another try."),
    ("1102", Meaning.DUPLICATE, "caller", _REPEATED),
    ("1103", _R, "operator", "A request was malformed; report it with respmsg."),
    ("1104", _R, "operator", "A parameter is wrong, or this pay type is not enabled for the account."),
    ("1105", _R, "operator", "Ask QFPay to activate the device."),
    ("1106", _R, "operator", "The device is not valid; check udid and mchid."),
    ("1107", _R, "operator", "The device is not allowed; ask QFPay."),
    (
        OUR_SIGNATURE_WRONG,
        _R,
        "operator",
        "Check app_code, client_key, mchid and that they belong to this host.",
    ),
    ("1109", _R, "operator", "An encryption fault (old list); check the credentials."),
    ("1110", _L, "provider", _INTERNAL),
    ("1111", _L, "provider", "A service behind QFPay is down (old list); query, then try again."),
    ("1112", _L, "provider", _INTERNAL),
    *((str(code), _D, "payer", _REFUSED_ACCOUNT) for code in range(1113, 1118)),
    ("1118", _D, "payer", "Blocked by risk control (old list); use another way to pay."),
    ("1119", _X, "caller", "This kind of transaction is not allowed (old list)."),
    ("1120", _N, "caller", "Not allowed at this time (old list)."),
    ("1121", _X, "payer", "This card is not allowed (old list)."),
    ("1122", _X, "caller", "This currency is not allowed (old list)."),
    ("1123", _X, "caller", "This amount is not allowed (old list)."),
    ("1124", _X, "caller", "Invalid transaction; seen on same-day partial refunds: refund it whole."),
    ("1125", _S, "caller", "Refunded already; query the payment before another refund."),
    ("1126", _S, "caller", "It does not match the original (old list); query and compare."),
    *((str(code), _L, "provider", _INTERNAL) for code in range(1127, 1136)),
    ("1136", _L, "provider", "Not found or not operable; query, then perhaps try again."),
    *((str(code), _L, "provider", _INTERNAL) for code in range(1137, 1142)),
    ("1142", _C, "caller", "The order is closed; make a new one."),
    ("1143", _P, "payer", "Not paid yet; query until it is final."),
    ("1144", _D, "payer", "The code belongs to another wallet (old list); ask for the right one."),
    ("1145", _P, "provider", "Being processed; query until it is final."),
    ("1146", _L, "provider", "A business error without details (old list); query the order."),
    ("1147", _D, "payer", "A WeChat Pay error; ask the payer to try again or pay otherwise."),
    ("1150", _X, "caller", "Settled the same day (T0), so it cannot be cancelled; refund it."),
    *((str(code), _L, "provider", _INTERNAL) for code in range(1151, 1155)),
    ("1155", _X, "caller", "The refund is refused; ask QFPay why."),
    ("1161", _L, "provider", "The result is not known (old list); query until it is."),
    *((code, _L, "provider", _NO_ROUTE) for code in ("1170", "1180")),
    ("1181", _C, "caller", "The order has expired; make a new one."),
    ("1201", _D, "payer", "The payer's balance is too low; ask for another way to pay."),
    ("1202", _D, "payer", "The pay code is wrong or has expired; scan a fresh one."),
    ("1203", _D, "payer", "An account error, the payer's or the store's; if it repeats, ask QFPay."),
    ("1204", _D, "payer", "The payer's bank refused; try again or pay otherwise."),
    ("1205", _D, "payer", "The payment failed; ask the payer to try again later."),
    ("1212", _D, "payer", "Ask the payer for the UnionPay code meant for overseas."),
    ("1241", _R, "operator", "The store does not exist; check mchid."),
    ("1242", _R, "operator", "The store is not set up properly; ask QFPay."),
    ("1243", _R, "operator", "The store is disabled; ask QFPay."),
    ("1250", _R, "operator", "The transaction is forbidden for this account; ask QFPay."),
    ("1251", _R, "operator", _SETTINGS),
    ("1252", _L, "provider", "QFPay had a system error on this order; query it."),
    ("1254", _L, "provider", "QFPay is resolving a problem; query, then try again."),
    ("1260", _S, "caller", "The order is paid already; query it."),
    ("1261", _S, "caller", "The order is not paid; query it."),
    ("1262", _S, "caller", "The order is refunded already; query it."),
    ("1263", _C, "caller", "The order is cancelled; make a new one."),
    ("1264", _C, "caller", "The order is closed; after a full refund nothing is left to give back."),
    (
        "1265",
        _N,
        "caller",
        "Refunds are barred 23:30 to 00:30 Hong Kong time and in promotions; try later.",
    ),
    ("1266", _S, "caller", "The amount is wrong; query and compare."),
    ("1267", _S, "caller", "The order's details do not match; query and compare."),
    ("1268", _S, "caller", "QFPay knows no such order; check the number and the account."),
    (
        "1269",
        _N,
        "caller",
        "Today's unsettled takings are too small; refund later, after 11:00 Hong Kong time.",
    ),
    ("1270", _X, "caller", f"This currency has no partial refunds. {_NO_PARTIAL}"),
    ("1271", _X, "caller", f"This transaction has no partial refunds. {_NO_PARTIAL}"),
    ("1272", _X, "caller", "More than is left of the payment; refund less."),
    (
        "1294",
        _X,
        "provider",
        "Barred by the bank, perhaps as not compliant; do not repeat, ask QFPay.",
    ),
    ("1295", _L, "provider", f"The network is slow. {_ASK}"),
    ("1296", _L, "provider", f"The network is slow. {_ASK}"),
    (
        "1297",
        _L,
        "provider",
        "The bank is busy, or the amount is over its limit; query, then retry rarely.",
    ),
    (
        "1298",
        _P,
        "provider",
        "Slow, and the payer may have paid: never repeat, query until it is final.",
    ),
    *((code, Meaning.UNKNOWN, "provider", _UNDOCUMENTED) for code in ("2001", "2002", "2003")),
    ("2004", _D, "payer", "The payer's balance is too low (old list); ask for another way to pay."),
    ("2005", _D, "payer", "The pay code is wrong or has expired; scan a fresh one."),
    ("2006", _D, "payer", "The pay code is wrong (old list); scan a fresh one."),
    ("2007", _D, "payer", f"The payer closed the payment (old list). {_NEW}"),
    *(
        (code, _L, "provider", f"The wallet had a fault (old list). {_ASK}")
        for code in ("2008", "2009", "2010")
    ),
    ("2011", Meaning.DUPLICATE, "caller", _REPEATED),
    ("2012", _R, "operator", "A certificate is wrong (old list); ask QFPay."),
    ("2999", _P, "provider", "The wallet is still working (old list); query after 3 to 5 seconds."),
)

CODES: Mapping[str, Code] = {
    respcd: Code(respcd=respcd, meaning=meaning, who_acts=who_acts, advice=advice)
    for respcd, meaning, who_acts, advice in _ROWS
}
"""Every code the sources name, by `respcd`."""


class Judgement(StrEnum):
    """What a code comes to, for one operation or record."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    CLOSED = "closed"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    NOT_NOW = "not now"
    OPEN = "open"
    """Nothing definite: neither success nor failure."""


def _judgements(**by_meaning: Judgement) -> Mapping[Meaning, Judgement]:
    """One row: accepted and pending stay what they are, and meanings not named are open."""
    usual = {Meaning.ACCEPTED: Judgement.ACCEPTED, Meaning.PENDING: Judgement.PENDING}
    named = {Meaning[meaning.upper()]: judgement for meaning, judgement in by_meaning.items()}
    return dict.fromkeys(Meaning, Judgement.OPEN) | usual | named


_REJECTED, _CLOSED, _NOT_NOW = Judgement.REJECTED, Judgement.CLOSED, Judgement.NOT_NOW

JUDGEMENTS: Mapping[Asked, Mapping[Meaning, Judgement]] = {
    "create": _judgements(
        declined=_REJECTED,
        closed=_CLOSED,
        duplicate=Judgement.DUPLICATE,
        refused=_REJECTED,
        limited=_REJECTED,
        not_now=_NOT_NOW,
    ),
    "refund": _judgements(
        declined=_REJECTED,
        closed=_REJECTED,
        state=_REJECTED,
        duplicate=Judgement.DUPLICATE,
        refused=_REJECTED,
        limited=_REJECTED,
        not_now=_NOT_NOW,
    ),
    "close": _judgements(
        declined=_REJECTED, closed=_CLOSED, refused=_REJECTED, limited=_REJECTED, not_now=_NOT_NOW
    ),
    # A query's own code is the result of the call and says nothing of any order.
    "query": _judgements(pending=Judgement.OPEN, refused=_REJECTED),
    # QFPay has the order, so a temporary fault in its record leaves it pending.
    "payment record": _judgements(
        later=Judgement.PENDING,
        declined=_REJECTED,
        closed=_CLOSED,
        refused=_REJECTED,
        limited=_REJECTED,
        not_now=_REJECTED,
    ),
    "refund record": _judgements(
        later=Judgement.PENDING,
        declined=_REJECTED,
        closed=_REJECTED,
        refused=_REJECTED,
        limited=_REJECTED,
        not_now=_REJECTED,
    ),
}
"""What each meaning comes to, by what was asked; every meaning is listed."""

_OUTSIDE_WINDOW = "The time for refunds has passed; pay the payer back in another way."


_AMBIGUOUS = frozenset({"1250", "1251", "1265", "1297"})


def judge(asked: Asked, answer: Answer, *, is_late_refund: bool = False) -> tuple[Judgement, Code]:
    """What the code of an answer comes to, and its row."""
    code = resolve(asked, answer, is_late_refund=is_late_refund)
    return JUDGEMENTS[asked][code.meaning], code


def resolve(asked: Asked, answer: Answer, *, is_late_refund: bool = False) -> Code:
    """
    The row for the code of an answer to what was asked; an unlisted code has the meaning `UNKNOWN`.

    `is_late_refund` says that the payment is older than the refund window seen in practice. Four codes depend on it,
    and on the answer's text, as seen live (SOURCES.md §5.1, a merchant's notes, 2024-26):

    | code | documented | also |
    |---|---|---|
    | 1250 | transaction forbidden | on a refund: its window has passed |
    | 1251 | store misconfigured | with "out_trade_no is used": the number is in use |
    | 1265 | refunds barred at night | with "over the refundable time limit", or as 1297 |
    | 1297 | bank busy | on a refund of an old payment: its window has passed |
    """
    respcd = answer.code
    code = CODES.get(respcd)
    if code is None:
        return Code(respcd=respcd, meaning=Meaning.UNKNOWN, who_acts="provider", advice=_ASK)
    if respcd not in _AMBIGUOUS:
        return code
    said = answer.text.casefold()
    if respcd == "1251" and "out_trade_no is used" in said:
        return _amended(code, Meaning.DUPLICATE, _REPEATED)
    is_too_late = (
        (respcd == "1250" and asked == "refund")
        or (respcd == "1265" and "time limit" in said)
        or (respcd in ("1265", "1297") and asked == "refund" and is_late_refund)
    )
    return _amended(code, Meaning.LIMITED, _OUTSIDE_WINDOW) if is_too_late else code


def _amended(code: Code, meaning: Meaning, advice: str) -> Code:
    return Code(respcd=code.respcd, meaning=meaning, who_acts="caller", advice=advice)


def failure_of(answer: Answer, code: Code) -> Failure:
    """QFPay's code and text, with what to do about it."""
    return Failure(
        code=code.respcd,
        message=answer.text,
        who_acts=code.who_acts,
        advice=code.advice,
    )


def problem_of(answer: Answer, code: Code) -> str:
    """Why an answer decides nothing; safe to log."""
    return f"respcd {code.respcd}: {answer.text or 'no text'}. {code.advice}"
