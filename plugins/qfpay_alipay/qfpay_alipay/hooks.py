"""What this plugin registers with paycore, by the entry point `qfpay-alipay` of the group `paycore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.plugin import Provider, hookimpl
from qfpay_alipay.provider import QFPayAlipay


@hookimpl
def paycore_register_providers() -> Sequence[type[Provider]]:
    """The one provider: Alipay through QFPay."""
    return [QFPayAlipay]


@hookimpl
def paycore_register_sandboxes() -> Sequence[Any]:
    """Its sandbox, imported only when asked for: it needs the extra `sandbox`."""
    from qfpay_alipay.sandbox import QFPaySandbox

    return [QFPaySandbox()]
