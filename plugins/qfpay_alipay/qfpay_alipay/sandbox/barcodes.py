"""
The result of a scanned barcode, so that every outcome of 800108 and 800008 can be produced.

| `auth_code` ends in | result |
|---|---|
| 1143 | 1143, the payer is typing the password; pays on the wallet page, by `pay`, or by auto-pay |
| 1145 | 1145, processing; paid by itself after 5 s |
| 1201 | 1201, balance too low |
| 1202 | 1202, code expired or wrong |
| 1205 | 1205, failed |
| anything else | 0000, paid at once |

A barcode works once (G4/G5 "Payment Methods"); the second time the result is 1202 (chosen here).
"""

from __future__ import annotations

import msgspec

from qfpay_alipay.sandbox import codes

_PROCESSING_MS = 5_000


class BarcodeResult(msgspec.Struct, frozen=True, kw_only=True):
    """`pays_after_ms` is after how long a simulated payer pays an open order, `None` for never."""

    respcd: str
    is_open: bool = False
    pays_after_ms: int | None = None


_BY_ENDING = {
    "1143": BarcodeResult(respcd=codes.UNPAID, is_open=True),
    "1145": BarcodeResult(respcd=codes.PROCESSING, is_open=True, pays_after_ms=_PROCESSING_MS),
    "1201": BarcodeResult(respcd=codes.PAYER_BALANCE),
    "1202": BarcodeResult(respcd=codes.BAD_PAY_CODE),
    "1205": BarcodeResult(respcd=codes.FAILED),
}
_PAID = BarcodeResult(respcd=codes.OK)


def read_barcode(auth_code: str, *, is_used: bool) -> BarcodeResult:
    if is_used:
        return _BY_ENDING["1202"]
    return _BY_ENDING.get(auth_code[-4:], _PAID)
