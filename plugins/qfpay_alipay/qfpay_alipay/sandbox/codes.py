"""
The return codes this sandbox answers with, and its refusals.

The codes are QFPay's (G4/G5 "Transaction Status Codes"). The texts are the sandbox's: QFPay's differ by account and
language, so a client must not depend on them (SOURCES.md §3.4).
"""

from __future__ import annotations

OK = "0000"
FORMAT = "1103"
PARAMETER = "1104"
SIGNATURE = "1108"
CLOSED = "1142"
UNPAID = "1143"
PROCESSING = "1145"
EXPIRED = "1181"
PAYER_BALANCE = "1201"
BAD_PAY_CODE = "1202"
FAILED = "1205"
NUMBER_USED = "1251"
ALREADY_PAID = "1260"
NOT_PAID = "1261"
CANCELLED = "1263"
ORDER_CLOSED = "1264"
WRONG_AMOUNT = "1266"
MISMATCH = "1267"
NO_SUCH_ORDER = "1268"
BALANCE_EMPTY = "1269"
TOO_MUCH = "1272"

TEXTS = {
    OK: "success",
    FORMAT: "request format error",
    PARAMETER: "parameter error",
    SIGNATURE: "signature error",
    CLOSED: "order closed",
    UNPAID: "order not paid yet or payer is entering the password",
    PROCESSING: "transaction is being processed",
    EXPIRED: "order expired",
    PAYER_BALANCE: "payer's balance is insufficient",
    BAD_PAY_CODE: "payment code is wrong or has expired",
    FAILED: "transaction failed, please try later",
    NUMBER_USED: "store is configured incorrectly",
    ALREADY_PAID: "order is already paid",
    NOT_PAID: "order is not paid",
    CANCELLED: "order is already cancelled",
    ORDER_CLOSED: "order is already closed",
    WRONG_AMOUNT: "transaction amount is wrong",
    MISMATCH: "order information does not match",
    NO_SUCH_ORDER: "order does not exist",
    BALANCE_EMPTY: "today's unsettled amount is insufficient, please retry after 11 AM",
    TOO_MUCH: "refund amount exceeds the refundable amount",
}


def text(code: str) -> str:
    """The sandbox's `resperr` for a code; a generic one for codes that only a fault produces."""
    return TEXTS.get(code, f"error {code}")


class Refusal(Exception):
    """The gateway refuses a request with `code`; `message` becomes `respmsg`."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
