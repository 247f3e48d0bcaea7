"""Faults of the gateway itself, beside those of the connection."""

from __future__ import annotations

from paycore.sandbox.connection import CONNECTION_FAULTS
from paycore.sandbox.faults import FaultBoard, FaultKind
from paycore.sandbox.gateway_kinds import COMMON_FAULTS

GATEWAY_FAULTS = (
    FaultKind(
        name="issue",
        help="the request is refused with this issue, and does nothing",
        options={"code": "INSTRUMENT_DECLINED"},
    ),
    FaultKind(name="token_refused", help="every token issued so far is unknown"),
    FaultKind(name="in_progress", help="409: an earlier request with this id is running"),
    FaultKind(
        name="pending_capture",
        help="the next capture is pending until `settle`",
        options={"reason": "PENDING_REVIEW"},
    ),
    FaultKind(name="pending_refund", help="the next refund is pending"),
    FaultKind(name="other_amount", help="an order's amount is told as `value`", options={"value": "0.01"}),
    FaultKind(name="unknown_status", help="an order's or payment's status is one nobody documents"),
    FaultKind(name="without_payments", help="an order is told without its payments"),
    FaultKind(name="without_link", help="an order is told without a link for the payer"),
)


def open_board() -> FaultBoard:
    return FaultBoard([*CONNECTION_FAULTS, *COMMON_FAULTS, *GATEWAY_FAULTS])
