"""Which requests are accepted: signatures and form. Refusals are HTTP 200 with a respcd."""

import hashlib
from collections.abc import Callable

import httpx2
import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import (
    CLOSE,
    PAYMENT,
    QUERY,
    REFUND,
    REVERSAL,
    Merchant,
    sign,
)

FIELDS = {"out_trade_no": "nothing-there"}


def refused(reply: httpx2.Response) -> tuple[str, str]:
    assert reply.status_code == 200
    answer = reply.json()
    return answer["respcd"], answer["respmsg"]


@pytest.mark.parametrize("digest", ["md5", "sha256"])
@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_signature_of_either_kind_and_case_is_accepted(
    merchant: Merchant, digest: str, case: Callable[[str], str]
) -> None:
    """MD5 without a sign type, SHA256 with it, in hex of either case. Source: SOURCES.md §2.1."""
    headers = {"X-QF-SIGN": case(sign(FIELDS, merchant.key, digest))}
    assert merchant.send(QUERY, FIELDS, digest=digest, headers=headers).json()["respcd"] == "0000"


def test_signature_type_is_taken_from_the_header_alone(merchant: Merchant) -> None:
    """A SHA256 signature without its header is read as MD5 and refused; so is MD5 called SHA256."""
    plain = {"X-QF-APPCODE": merchant.app_code}
    sha = {**plain, "X-QF-SIGN": sign(FIELDS, merchant.key, "sha256")}
    md5 = {**plain, "X-QF-SIGN": sign(FIELDS, merchant.key), "X-QF-SIGNTYPE": "SHA256"}
    odd = {**plain, "X-QF-SIGN": sign(FIELDS, merchant.key), "X-QF-SIGNTYPE": "CRC32"}
    for headers in (sha, md5, odd):
        reply = merchant.http.post(merchant.url + QUERY, data=FIELDS, headers=headers)
        assert refused(reply)[0] == "1108"


@pytest.mark.parametrize("path", [PAYMENT, QUERY, REFUND, CLOSE, REVERSAL])
def test_signature_that_does_not_fit_is_1108(merchant: Merchant, path: str) -> None:
    """On every endpoint a wrong, a missing and another account's signature are refused with 1108."""
    for signature in ("0" * 32, "", sign(FIELDS, "another key")):
        assert refused(merchant.send(path, FIELDS, headers={"X-QF-SIGN": signature}))[0] == "1108"


def test_signature_is_over_values_as_sent(merchant: Merchant) -> None:
    """Decoded, not trimmed, empty ones included."""
    fields = {"respcd": "", "udid": " a b ", "goods": "a&b=c?d", "name": "測試"}
    assert merchant.send(QUERY, fields).json()["respcd"] == "0000"
    without_empty = {name: value for name, value in fields.items() if value}
    reply = merchant.send(QUERY, fields, headers={"X-QF-SIGN": sign(without_empty, merchant.key)})
    assert refused(reply)[0] == "1108"


def test_app_code_unknown_or_missing_is_1108_and_unsigned(merchant: Merchant) -> None:
    """An unknown app code has no key, so its answer is unsigned (chosen: undocumented)."""
    for app_code in ("F" * 32, ""):
        reply = merchant.send(QUERY, FIELDS, headers={"X-QF-APPCODE": app_code})
        assert refused(reply) == ("1108", "app code is not known")
        assert "X-QF-SIGN" not in reply.headers


def test_reply_is_signed_ascii_json_in_pythons_layout(merchant: Merchant) -> None:
    """Upper MD5 of body + key in X-QF-SIGN, on successes and refusals. Source: G2 section 3.4."""
    replies = [
        merchant.send(QUERY, FIELDS, digest="sha256"),
        merchant.send(PAYMENT, {"goods_name": "測"}),
    ]
    for reply in replies:
        expected = hashlib.md5(reply.content + merchant.key.encode()).hexdigest().upper()
        assert reply.headers["X-QF-SIGN"] == expected
        assert reply.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert b'": "' in reply.content
        assert b'", "' in reply.content
        assert reply.content.isascii()


def test_body_that_is_no_form_is_1103(merchant: Merchant) -> None:
    """JSON, bad UTF-8, duplicate names, too many fields and an endless body are format errors."""
    headers = {"X-QF-APPCODE": merchant.app_code, "X-QF-SIGN": "0" * 32}
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    bodies = {
        b'{"txamt": "1"}': {**headers, "Content-Type": "application/json"},
        b"goods_name=%ff": form,
        b"txamt=1&txamt=2": form,
        b"&".join(b"f%d=1" % index for index in range(65)): form,
        b"a=" + b"1" * 70_000: form,
    }
    for body, sent in bodies.items():
        assert refused(merchant.http.post(merchant.url + PAYMENT, content=body, headers=sent))[0] == "1103"


def test_form_of_64_fields_passes(merchant: Merchant) -> None:
    """The limit is 64 fields."""
    assert merchant.send(QUERY, {f"f{index}": "1" for index in range(64)}).json()["respcd"] == "0000"


def test_endpoints_take_the_documented_methods(merchant: Merchant) -> None:
    """Payment, query and refund are POST; close and reversal are documented with both."""
    for path in (PAYMENT, QUERY, REFUND):
        assert merchant.send(path, FIELDS, method="GET").status_code == 405
    fields = {"out_trade_no": "nothing", "txamt": "1", "txdtm": "2026-01-01 00:00:00"}
    for path in (CLOSE, REVERSAL):
        for method in ("GET", "POST"):
            assert merchant.send(path, fields, method=method).json()["respcd"] == "1268"


def test_plus_and_percent20_are_the_same_space(merchant: Merchant) -> None:
    """Both spellings of a space decode to the space that is signed. Source: SOURCES.md §8 no. 8."""
    fields = {"out_trade_no": "nothing", "txamt": "1", "txdtm": "2026-01-01 00:00:00"}
    headers = {"X-QF-APPCODE": merchant.app_code, "X-QF-SIGN": sign(fields, merchant.key)}
    for space in ("+", "%20"):
        query = f"out_trade_no=nothing&txamt=1&txdtm=2026-01-01{space}00:00:00"
        assert merchant.http.get(f"{merchant.url}{CLOSE}?{query}", headers=headers).json()["respcd"] == "1268"


def test_mchid_issued_is_required_everywhere(open_merchant: Callable[..., Merchant]) -> None:
    """With an issued mchid every request needs it. Source: G5 "Introduction"."""
    with_mchid = open_merchant({"mchid": "ZaMVg12345"})
    assert with_mchid.server.settings["mchid"] == "ZaMVg12345"
    for path in (PAYMENT, QUERY, REFUND, CLOSE, REVERSAL):
        code, message = refused(with_mchid.send(path, FIELDS))
        assert (code, "mchid" in message) == ("1104", True)
        assert refused(with_mchid.send(path, {**FIELDS, "mchid": "another"}))[0] == "1104"
    assert with_mchid.payment(mchid="ZaMVg12345")["respcd"] == "0000"


def test_mchid_not_issued_must_be_absent(merchant: Merchant) -> None:
    """An mchid that was not issued is refused."""
    assert "mchid" not in merchant.server.settings
    assert refused(merchant.send(QUERY, {**FIELDS, "mchid": "ZaMVg12345"}))[0] == "1104"
