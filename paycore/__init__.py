"""
Payments through any provider: none lost, none made twice.

```python
import paycore

with paycore.Client() as pay:
    payment = pay.create(
        reference="order-1001",
        amount=paycore.Money("88.00", "HKD"),
        method="alipay",
        channel="web",
    )
    payment = pay.wait(payment.id, timeout_s=300)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycore.domain.action import (
        Action,
        AppCall,
        ClientCall,
        Instructions,
        QRCode,
        Redirect,
        WalletCall,
    )
    from paycore.domain.changes import ChangeKind, PaymentChange
    from paycore.domain.events import Event
    from paycore.domain.money import Money
    from paycore.domain.payment import Failure, Payment, Refund, RefundStatus, ReviewReason, Status
    from paycore.domain.reconciliation import Discrepancy, DiscrepancyKind, Reconciliation
    from paycore.domain.totals import Totals
    from paycore.engine.async_client import AsyncClient
    from paycore.engine.client import Client
    from paycore.engine.config import Config, load_config
    from paycore.engine.offers import AccountInfo
    from paycore.engine.resolving import Resolved
    from paycore.engine.shared import close_shared_client, shared_client
    from paycore.errors import PaycoreError

__version__ = "0.1.0"

_MODULES = {
    "paycore.domain.action": (
        "Action",
        "AppCall",
        "ClientCall",
        "Instructions",
        "QRCode",
        "Redirect",
        "WalletCall",
    ),
    "paycore.domain.changes": ("ChangeKind", "PaymentChange"),
    "paycore.domain.events": ("Event",),
    "paycore.domain.money": ("Money",),
    "paycore.domain.payment": ("Failure", "Payment", "Refund", "RefundStatus", "ReviewReason", "Status"),
    "paycore.domain.totals": ("Totals",),
    "paycore.domain.reconciliation": ("Discrepancy", "DiscrepancyKind", "Reconciliation"),
    "paycore.engine.async_client": ("AsyncClient",),
    "paycore.engine.client": ("Client",),
    "paycore.engine.config": ("Config", "load_config"),
    "paycore.engine.offers": ("AccountInfo",),
    "paycore.engine.resolving": ("Resolved",),
    "paycore.engine.shared": ("close_shared_client", "shared_client"),
    "paycore.errors": ("PaycoreError",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AccountInfo",
    "Action",
    "AppCall",
    "AsyncClient",
    "ChangeKind",
    "Client",
    "ClientCall",
    "Config",
    "Discrepancy",
    "DiscrepancyKind",
    "Event",
    "Failure",
    "Instructions",
    "Money",
    "PaycoreError",
    "Payment",
    "PaymentChange",
    "QRCode",
    "Reconciliation",
    "Redirect",
    "Refund",
    "RefundStatus",
    "Resolved",
    "ReviewReason",
    "Status",
    "Totals",
    "WalletCall",
    "close_shared_client",
    "load_config",
    "shared_client",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import paycore` is fast."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'paycore' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
