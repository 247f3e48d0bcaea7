"""The sandbox's signatures against every published and computed vector (SOURCES.md §2.5)."""

import hashlib

import pytest

from qfpay_alipay.sandbox.signing import body_signature, is_request_signed, request_signature

K = "0123456789ABCDEF0123456789ABCDEF"


def fields_of(text: str) -> dict[str, str]:
    """Undo `a=1&b=2` for vectors whose values hold no `&`."""
    return dict(pair.split("=", 1) for pair in text.split("&"))


V1 = fields_of(
    "address=XX区XX路XX号&bankaccount=1234567890&bankaddr=银行详细地址&bankcity=成都&bankcode=123&bankcountry=中国"
    "&bankname=中国建设银行&bankswiftcode=001&bankuser=王&channel_type=1&city=成都&country=中国"
    "&email=email@example.com&idnumber=110000201608220123&licenseactive_date=2016-07-10&licensenumber=12345678"
    "&mcc_id=6125485337528623306&mobile=14401234567&name=测试企业&shopname=XX商店&username=some_user"
)
V2 = fields_of(
    "address=TST&bankaccount=168477081838&bankaddr=TST&bankcity=Hong Kong&bankcode=123&bankcountry=Hong Kong"
    "&bankname=HSBC&bankswiftcode=HSBCHKHHHKH&bankuser=Peter&channel_type=&city=Hong Kong&country=Hong Kong"
    "&email=peter@test.com&idnumber=172845391795&legalperson=Peter&licenseactive_date=20160810"
    "&licensenumber=123456&mcc_id=21002&mobile=123456&name=Peter &shopname=PeterShopR&username=peter@test.com001"
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
    "appcode": "ABCDEF0123456789ABCDEF0123456789",
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
V9 = fields_of(
    "end_time=2026-01-31 23:59:59&mchid=ZaMVg12345&page=1&page_size=100&start_time=2026-01-01 00:00:00"
    "&syssn=20260101000300020012345678,20260101000300020012345679"
)
V6 = fields_of(
    "out_trade_no=ORD-20260101-0001&pay_type=801101&txamt=1099&txcurrcd=HKD&txdtm=2026-01-01 12:00:00"
)
V7 = fields_of(
    "expired_time=10&goods_name=測試商品&out_trade_no=ORD-20260101-0002&pay_type=800101&txamt=1099&txcurrcd=HKD"
    "&txdtm=2026-01-01 12:00:00"
)
V5 = fields_of("abc=value1&bad=value3&bcd=value2")
V4 = fields_of("mchid=ZaMVg12345&txamt=100&txcurrcd=HKD")

REQUESTS = [
    pytest.param(V1, "789012", "MD5", "E019253E135863C335333C983DF05359", id="V1 official, G1-zh 0.1"),
    pytest.param(
        V2,
        "c49ce1d444994b419934286eb07b40f2",
        "MD5",
        "3A7A3BBA647FB6FBC28F6687D78212E2",
        id="V2 official, G1",
    ),
    pytest.param(
        V4,
        "abcd1234",
        "SHA256",
        "99D9F7174823928B74C74B1C7A7E1538DF733774DD21C9606A202CB8BB3D74E8",
        id="V4 G4/G5 Signature page, computed",
    ),
    pytest.param(V4, "abcd1234", "MD5", "3CB3AA9C21D818AB4CAFAA8FA3FEACF4", id="V4 MD5, computed"),
    pytest.param(V5, "Key", "MD5", "FE90E1859AF37371A06415CF19F6614F", id="V5 G2 3.2, computed"),
    pytest.param(
        V5,
        "Key",
        "SHA256",
        "55BED8288586B02E3836BF0C4BAEC24C002B1C87E1C355F356A3547AB97A64B4",
        id="V5 SHA256, computed",
    ),
    pytest.param(V6, K, "MD5", "C224383BB68E38E9BCA13630B899BC11", id="V6 web payment, computed"),
    pytest.param(
        V6, K, "SHA256", "AA79AE9378064B7C4B4A9D9B4533D7CF6316562906325ADD9E425443D853880E", id="V6 SHA256"
    ),
    pytest.param(V7, K, "MD5", "1728C6BF2CFD57BD649E2F5828C1C73C", id="V7 Chinese value, computed"),
    pytest.param(
        V7, K, "SHA256", "68AB8728EBAE19A429554ADFAE8EFFE3037DA62ABD0128B3CAB1031EFE7AFCFE", id="V7 SHA256"
    ),
    pytest.param(V8, K, "MD5", "7992F35D483D472AA2A2846D8736AC60", id="V8 value with & = ?, computed"),
    pytest.param(
        V8, K, "SHA256", "3B9F6FA537DE04BA9A907832762D94AB8D7075EE12EB110BA00150C4B2F8B14B", id="V8 SHA256"
    ),
    pytest.param(V9, K, "MD5", "9B50933C84A6B4976359DCD9CEAF7069", id="V9 query, computed"),
    pytest.param(
        V9, K, "SHA256", "2AAE2D90E0CC031EBDADF281BC5B6A7EEA50445B8C67C11B764CCDBE75BE10DD", id="V9 SHA256"
    ),
    pytest.param(
        V12,
        K,
        "SHA256",
        "911DBEFE995C0EB814A26DA8A6F1C2CA862BF595A83B1F1EB5B5A6CABD971643",
        id="V12 checkout URL, computed",
    ),
]

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
BODIES = [
    pytest.param(
        V3,
        302,
        "615ED178BA524459976CE40FAB78000F",
        "1E2CE7C2A7F8F581C354A857182B7A31",
        id="V3 official reply, G2 3.4.3",
    ),
    pytest.param(V10, 366, K, "5BE5F26AF4231825063E13B2FB90C3D3", id="V10 notification, computed"),
    pytest.param(V11, 123, K, "644E15A0C414F35ECDB52E1C6D67FD84", id="V11 reply, computed"),
]


@pytest.mark.parametrize(("fields", "key", "sign_type", "digest"), REQUESTS)
def test_request_signature_vector_is_reproduced(
    fields: dict[str, str], key: str, sign_type: str, digest: str
) -> None:
    """Each vector of a request is reproduced, whatever order the fields come in."""
    backwards = dict(reversed(list(fields.items())))
    assert request_signature(backwards, key=key, sign_type=sign_type) == digest


@pytest.mark.parametrize(("fields", "key", "sign_type", "digest"), REQUESTS)
def test_request_is_signed_by_hex_of_either_case_and_by_nothing_else(
    fields: dict[str, str], key: str, sign_type: str, digest: str
) -> None:
    """Upper and lower case pass; another digit, another key, a changed value and an empty signature do not."""

    def fits(signature: str, *, used: dict[str, str] = fields, by: str = key) -> bool:
        return is_request_signed(used, key=by, sign_type=sign_type, signature=signature)

    assert fits(digest)
    assert fits(digest.lower())
    assert not fits(digest[:-1] + ("0" if digest[-1] != "0" else "1"))
    assert not fits(digest, by=key + "x")
    assert not fits(digest, used={**fields, "txamt": "1"})
    assert not fits("")
    assert not fits("é")


def test_request_signature_with_gbk_is_another_one() -> None:
    """Chinese is signed as UTF-8: V1's GBK digest is refused. Source: V1, G1-zh section 0.1."""
    wrong = "5C8D795FA036160F883EF4D2696D1BF1"
    assert not is_request_signed(V1, key="789012", sign_type="MD5", signature=wrong)


def test_request_signature_sorts_names_and_not_pairs() -> None:
    """`a` is before `a1`, though `a1=...` sorts before `a=...`. Source: G5-live "Authentication & Signature"."""
    fields = {"a1": "x", "a": "y", "B": "z"}
    assert request_signature(fields, key=K, sign_type="MD5") == (
        hashlib.md5(b"B=z&a=y&a1=x" + K.encode()).hexdigest().upper()
    )


@pytest.mark.parametrize(("body", "length", "key", "digest"), BODIES)
def test_body_signature_vector_is_reproduced(body: bytes, length: int, key: str, digest: str) -> None:
    """Each vector of a reply or notification is reproduced; an extra byte changes the signature."""
    assert len(body) == length
    assert body_signature(body, key=key) == digest
    assert body_signature(body + b"\n", key=key) != digest
