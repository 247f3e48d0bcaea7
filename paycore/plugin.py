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

from paycore.domain.action import Action, AppCall, QRCode, Redirect, WalletCall
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
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    CreateResend,
    Done,
    Found,
    Mention,
    Notice,
    NumberFormat,
    OrderRef,
    Product,
    Provider,
    ProviderInfo,
    QueryReply,
    RefundOrder,
    RefundReply,
    Rejected,
    RequestBudget,
    Secret,
    Unknown,
)
from paycore.domain.safe_text import url_problem
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Notification, Reply, Request, Response
from paycore.errors import InvalidField, MalformedNotification, NotAuthentic
from paycore.hookspecs import hookimpl

__all__ = [
    "FLOW_REQUESTS_MAX",
    "Action",
    "AppCall",
    "Capabilities",
    "CloseReply",
    "CreateOrder",
    "CreateReply",
    "CreateResend",
    "Created",
    "Done",
    "Failure",
    "Flow",
    "Found",
    "InvalidField",
    "MalformedNotification",
    "Mention",
    "Money",
    "NotAuthentic",
    "Notice",
    "Notification",
    "NumberFormat",
    "Observation",
    "OrderRef",
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
    "Response",
    "Secret",
    "Status",
    "Unknown",
    "WalletCall",
    "hookimpl",
    "read_amount",
    "url_problem",
]
