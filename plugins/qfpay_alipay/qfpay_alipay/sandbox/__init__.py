"""
An offline gateway for QFPay Alipay: real HTTP, real signatures, wallet pages to tap, faults on demand.

Written from QFPay's documentation; it shares no code with the plugin's client side, so that each checks the other.
Settings are in `sandbox_settings`, test barcodes in `barcodes`, faults in `gateway_faults` and
`paycore.sandbox.connection`, pages in `wallet` and `alipay_bridge`, control endpoints in `paycore.sandbox.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycore.sandbox.api import SandboxOptions
    from qfpay_alipay.sandbox.gateway import QFPayGateway

__all__ = ["QFPaySandbox"]


class QFPaySandbox:
    """The sandbox of provider `qfpay-alipay`. `open` imports what needs the extra `sandbox`."""

    name = "qfpay-alipay"

    def open(self, options: SandboxOptions) -> QFPayGateway:
        from qfpay_alipay.sandbox.gateway import QFPayGateway

        return QFPayGateway(options)
