"""
Everything a provider plugin imports from paycore.

A plugin is a module with hook implementations, named by an entry point of the group `paycore`:

```python
from paycore.plugin import hookimpl

@hookimpl
def paycore_register_providers():
    return [MyProvider]
```
"""

from paycore.domain.action import Action, AppCall, ClientCall, Instructions, QRCode, Redirect, WalletCall
from paycore.domain.money import Money
from paycore.domain.observation import (
    Observation,
    PartialAmount,
    PaymentObservation,
    RefundObservation,
    read_amount,
)
from paycore.domain.payment import Failure, RefundStatus, Status
from paycore.domain.provider import (
    UNSAFE,
    Attempt,
    Capabilities,
    CaptureOrder,
    CaptureReply,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Found,
    FullProvider,
    ListByTime,
    Listed,
    ListReply,
    Lookup,
    Mention,
    Mode,
    Notice,
    NotNow,
    NumberFormat,
    OrderRef,
    Page,
    Product,
    Provider,
    ProviderInfo,
    QueryReply,
    RefundOrder,
    RefundReply,
    Rejected,
    RequestBudget,
    Resend,
    Secret,
    Session,
    SessionReply,
    Unknown,
)
from paycore.domain.safe_text import url_problem
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Notification, Reply, Request, Response
from paycore.errors import InvalidField, MalformedNotification, NotAuthentic
from paycore.hookspecs import hookimpl

__all__ = [
    "FLOW_REQUESTS_MAX",
    "UNSAFE",
    "Action",
    "AppCall",
    "Attempt",
    "Capabilities",
    "CaptureOrder",
    "CaptureReply",
    "ClientCall",
    "CloseReply",
    "CreateOrder",
    "CreateReply",
    "Created",
    "Done",
    "Failure",
    "Flow",
    "Found",
    "FullProvider",
    "Instructions",
    "InvalidField",
    "ListByTime",
    "ListReply",
    "Listed",
    "Lookup",
    "MalformedNotification",
    "Mention",
    "Mode",
    "Money",
    "NotAuthentic",
    "NotNow",
    "Notice",
    "Notification",
    "NumberFormat",
    "Observation",
    "OrderRef",
    "Page",
    "PartialAmount",
    "PaymentObservation",
    "Product",
    "Provider",
    "ProviderInfo",
    "QRCode",
    "QueryReply",
    "Redirect",
    "RefundObservation",
    "RefundOrder",
    "RefundReply",
    "RefundStatus",
    "Rejected",
    "Reply",
    "Request",
    "RequestBudget",
    "Resend",
    "Response",
    "Secret",
    "Session",
    "SessionReply",
    "Status",
    "Unknown",
    "WalletCall",
    "hookimpl",
    "read_amount",
    "url_problem",
]
