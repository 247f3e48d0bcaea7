"""Signatures: the vectors V1 to V12 of SOURCES.md §2.5, each with its source, and their rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import Secret
from plugins.qfpay_alipay.tests.support import APP_CODE, KEY
from qfpay_alipay.signing import (
    SignType,
    is_signed,
    is_usable_key,
    render_canonical,
    sign_body,
    sign_request,
)

V1 = (
    "address=XX区XX路XX号&bankaccount=1234567890&bankaddr=银行详细地址&bankcity=成都&bankcode=123&bankcountry=中国"
    "&bankname=中国建设银行&bankswiftcode=001&bankuser=王&channel_type=1&city=成都&country=中国"
    "&email=email@example.com&idnumber=110000201608220123&licenseactive_date=2016-07-10&licensenumber=12345678"
    "&mcc_id=6125485337528623306&mobile=14401234567&name=测试企业&shopname=XX商店&username=some_user"
)
V2 = (
    "address=TST&bankaccount=168477081838&bankaddr=TST&bankcity=Hong Kong&bankcode=123&bankcountry=Hong Kong"
    "&bankname=HSBC&bankswiftcode=HSBCHKHHHKH&bankuser=Peter&channel_type=&city=Hong Kong&country=Hong Kong"
    "&email=peter@test.com&idnumber=172845391795&legalperson=Peter&licenseactive_date=20160810"
    "&licensenumber=123456&mcc_id=21002&mobile=123456&name=Peter &shopname=PeterShopR"
    "&username=peter@test.com001"
)
V4 = "mchid=ZaMVg12345&txamt=100&txcurrcd=HKD"
V5 = "abc=value1&bad=value3&bcd=value2"
V6 = "out_trade_no=ORD-20260101-0001&pay_type=801101&txamt=1099&txcurrcd=HKD&txdtm=2026-01-01 12:00:00"
V7 = (
    "expired_time=10&goods_name=測試商品&out_trade_no=ORD-20260101-0002&pay_type=800101&txamt=1099"
    "&txcurrcd=HKD&txdtm=2026-01-01 12:00:00"
)
V9 = (
    "end_time=2026-01-31 23:59:59&mchid=ZaMVg12345&page=1&page_size=100&start_time=2026-01-01 00:00:00"
    "&syssn=20260101000300020012345678,20260101000300020012345679"
)
V8 = {
    "openid": "2088802811715388",
    "out_trade_no": "ORD-20260101-0003",
    "pay_type": "800107",
    "return_url": "https://shop.example/return?order=3&lang=zh-HK",
    "txamt": "1099",
    "txcurrcd": "HKD",
    "txdtm": "2026-01-01 12:00:00",
}
V12 = {
    "appcode": APP_CODE,
    "failed_url": "https://shop.example/fail",
    "notify_url": "https://shop.example/notify",
    "out_trade_no": "ORD-20260101-0005",
    "paysource": "remotepay_checkout",
    "return_url": "https://shop.example/ok?o=5",
    "sign_type": "sha256",
    "txamt": "1099",
    "txcurrcd": "HKD",
    "txdtm": "2026-01-01 12:00:00",
}
V3_KEY = "615ED178BA524459976CE40FAB78000F"
V3 = (
    rb'{"pay_type": "800108", "sysdtm": "2018-01-12 19:31:16", "cardcd": "2088802362210279", '
    rb'"txdtm": "2018-01-12 19:31:22", "resperr": "\u4ea4\u6613\u6210\u529f", "txcurrcd": "CNY", "txamt": "1", '
    rb'"respmsg": "", "out_trade_no": "130145934788787530052", "syssn": "20180112000100020001662134", '
    rb'"respcd": "0000"}'
)
V10 = (
    rb'{"status": "1", "pay_type": "800101", "sysdtm": "2026-01-01 12:00:01", "paydtm": "2026-01-01 12:00:20", '
    rb'"goods_name": "\u6e2c\u8a66\u5546\u54c1", "txcurrcd": "HKD", "txdtm": "2026-01-01 12:00:00", '
    rb'"txamt": "1099", "out_trade_no": "ORD-20260101-0002", "syssn": "20260101000300020012345680", '
    rb'"cancel": "0", "respcd": "0000", "goods_info": "", "notify_type": "payment"}'
)
V11 = (
    rb'{"respcd": "1143", "resperr": "\u8a02\u55ae\u5c1a\u672a\u652f\u4ed8", "respmsg": "", '
    rb'"syssn": "20260101000300020012345678"}'
)


def fields_of(canonical: str) -> dict[str, str]:
    """A vector's text as fields, in another order than it is signed in."""
    return dict(reversed([pair.partition("=")[::2] for pair in canonical.split("&")]))


REQUESTS: list[tuple[str, dict[str, str], str, SignType, str]] = [
    # V1: G1-zh "海外钱台接口文档" 0.1 (2017), official. UTF-8: GBK would give 5C8D795FA036160F883EF4D2696D1BF1.
    ("V1", fields_of(V1), "789012", "MD5", "E019253E135863C335333C983DF05359"),
    # V4: G4/G5 "Signature" page; it prints no digest, computed from its text.
    ("V4", fields_of(V4), "abcd1234", "MD5", "3CB3AA9C21D818AB4CAFAA8FA3FEACF4"),
    (
        "V4",
        fields_of(V4),
        "abcd1234",
        "SHA256",
        "99D9F7174823928B74C74B1C7A7E1538DF733774DD21C9606A202CB8BB3D74E8",
    ),
    # V5: G2 "QFPay API in Japanese Business" 3.2 (2018), whose key is literally "Key"; computed.
    ("V5", fields_of(V5), "Key", "MD5", "FE90E1859AF37371A06415CF19F6614F"),
    (
        "V5",
        fields_of(V5),
        "Key",
        "SHA256",
        "55BED8288586B02E3836BF0C4BAEC24C002B1C87E1C355F356A3547AB97A64B4",
    ),
    # V6 to V9: synthetic key, computed for SOURCES.md from the rules of G5-live "Authentication & Signature".
    ("V6", fields_of(V6), KEY, "MD5", "C224383BB68E38E9BCA13630B899BC11"),
    ("V6", fields_of(V6), KEY, "SHA256", "AA79AE9378064B7C4B4A9D9B4533D7CF6316562906325ADD9E425443D853880E"),
    ("V7", fields_of(V7), KEY, "MD5", "1728C6BF2CFD57BD649E2F5828C1C73C"),
    ("V7", fields_of(V7), KEY, "SHA256", "68AB8728EBAE19A429554ADFAE8EFFE3037DA62ABD0128B3CAB1031EFE7AFCFE"),
    ("V8", V8, KEY, "MD5", "7992F35D483D472AA2A2846D8736AC60"),
    ("V8", V8, KEY, "SHA256", "3B9F6FA537DE04BA9A907832762D94AB8D7075EE12EB110BA00150C4B2F8B14B"),
    ("V9", fields_of(V9), KEY, "MD5", "9B50933C84A6B4976359DCD9CEAF7069"),
    ("V9", fields_of(V9), KEY, "SHA256", "2AAE2D90E0CC031EBDADF281BC5B6A7EEA50445B8C67C11B764CCDBE75BE10DD"),
    # V12: G4 "Checkout Services" signs the same way, in lower case; computed for SOURCES.md.
    ("V12", V12, KEY, "SHA256", "911DBEFE995C0EB814A26DA8A6F1C2CA862BF595A83B1F1EB5B5A6CABD971643"),
]


@pytest.mark.parametrize(("name", "fields", "key", "sign_type", "expected"), REQUESTS)
def test_sign_request_vector_matches(
    name: str, fields: dict[str, str], key: str, sign_type: SignType, expected: str
) -> None:
    """Each vector's fields, in any order, give its digest in upper case."""
    assert sign_request(fields, key=Secret(key), sign_type=sign_type) == expected


def test_sign_body_vector_2_matches_where_an_empty_value_was_sent() -> None:
    """
    V2 (G1 `0_Request_method.md`, official) signs a blank `channel_type=`: what is sent is signed as it stands.

    We send no empty values, so its text is signed as a body is: the text, then the key, nothing trimmed.
    """
    signed = sign_body(V2.encode(), key=Secret("c49ce1d444994b419934286eb07b40f2"))
    assert signed == "3A7A3BBA647FB6FBC28F6687D78212E2"
    assert "channel_type" not in render_canonical(fields_of(V2))


BODIES = [
    # V3: G2 3.4.3 (2018), official reply signature over exactly these 302 bytes.
    ("V3", V3, 302, V3_KEY, "1E2CE7C2A7F8F581C354A857182B7A31"),
    # V10, V11: synthetic key, computed for SOURCES.md from G2 3.4 and G4/G5 "Asynchronous Notifications".
    ("V10", V10, 366, KEY, "5BE5F26AF4231825063E13B2FB90C3D3"),
    ("V11", V11, 123, KEY, "644E15A0C414F35ECDB52E1C6D67FD84"),
]


@pytest.mark.parametrize(("name", "body", "length", "key", "expected"), BODIES)
def test_sign_body_vector_matches(name: str, body: bytes, length: int, key: str, expected: str) -> None:
    """Replies and notifications are signed over their raw bytes and the key."""
    assert len(body) == length
    assert sign_body(body, key=Secret(key)) == expected
    assert is_signed(body, expected, keys=[Secret(key)])
    assert is_signed(body, expected.lower(), keys=[Secret("old"), Secret(key)])


@pytest.mark.parametrize(
    "wrong",
    [
        "60BD3F628CE02D3D96CD6A962B0F85A1",  # over a compact re-serialisation
        "28F2EEF867DEB099D2553BF8BF60958B",  # over unescaped UTF-8
        "D18ABA30EEAFF55D16D3FEBE16F0B1D9",  # over sorted name=value
        "3D40ADCCA9BE3465AD3FA1E94D3ADF42",  # over one more newline
        "",
        "5BE5F26AF4231825063E13B2FB90C3D",
        "é" * 32,
        "\udcff",
    ],
)
def test_is_signed_wrong_digest_is_refused(wrong: str) -> None:
    """V10's wrong answers, and texts that are no digest, are refused."""
    assert not is_signed(V10, wrong, keys=[Secret(KEY)])


@pytest.mark.parametrize(
    "wrong",
    [
        "0177D2B5C4FEF51285BBBE7039DBEE84",  # big5
        "836F68AB730C17C50FBD57E1A1435B6F",  # percent-encoded
    ],
)
def test_sign_request_is_not_one_of_the_usual_mistakes(wrong: str) -> None:
    """V7's wrong answers: the text is UTF-8 and never percent-encoded."""
    assert sign_request(fields_of(V7), key=Secret(KEY)) != wrong


def test_render_canonical_sorts_names_not_pairs() -> None:
    """`page` before `page_size` before `pay_type`, upper case before lower; empty values are left out."""
    fields = {"pay_type": "1", "page_size": "2", "page": "3", "a": "4", "Z": "5", "empty": ""}
    assert render_canonical(fields) == "Z=5&a=4&page=3&page_size=2&pay_type=1"


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
)
def test_sign_request_does_not_depend_on_order_or_empty_values(fields: dict[str, str]) -> None:
    """The same fields in any order, with or without empty ones, have one signature; the input is unchanged."""
    before = dict(fields)
    shuffled = dict(reversed(fields.items()))
    kept = {name: value for name, value in fields.items() if value}
    signed = sign_request(fields, key=Secret(KEY))
    assert signed == sign_request(shuffled, key=Secret(KEY)) == sign_request(kept, key=Secret(KEY))
    assert fields == before


@pytest.mark.parametrize(
    ("key", "usable"), [(KEY, True), ("k", True), ("", False), ("a b", False), ("é", False)]
)
def test_is_usable_key_takes_printable_ascii(key: str, *, usable: bool) -> None:
    """A key is printable ASCII without spaces, and not empty."""
    assert is_usable_key(Secret(key)) is usable
