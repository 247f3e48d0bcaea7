"""The create flow: what is sent, and each reply's outcome."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import (
    Created,
    CreateReply,
    Done,
    Money,
    NotNow,
    PaymentObservation,
    Redirect,
    Rejected,
    Response,
    Secret,
    Status,
    Unknown,
    WalletCall,
)
from plugins.qfpay_alipay.tests.support import (
    APP_CODE,
    KEY,
    NUMBER,
    SYSSN,
    Gateway,
    always,
    answer,
    fields_in,
    make_order,
    make_provider,
    run,
)
from plugins.qfpay_alipay.tests.test_signing import V3, V3_KEY
from qfpay_alipay.signing import sign_body, sign_request

AUTH_CODE = Secret("283854702356157409")
ACCEPTED = {
    "respcd": "0000",
    "resperr": "success",
    "respmsg": "",
    "syssn": SYSSN,
    "out_trade_no": NUMBER,
    "txamt": "1099",
    "txcurrcd": "HKD",
    "sysdtm": "2026-01-01 12:00:01",
    "paydtm": "2026-01-01 12:00:01",
    "pay_url": "https://pay.example/x",
}


def create(gateway: Gateway, *, settings: dict[str, Any] | None = None, **fields: Any) -> CreateReply:
    """Run the create flow of one order against `gateway`."""
    return run(make_provider(**(settings or {})).create(make_order(**fields)), gateway)


def created(outcome: CreateReply) -> Created:
    """What a `Done` holds."""
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Created)
    return outcome.value


# --- what is sent --------------------------------------------------------------------------------------


def test_create_request_is_the_documented_one() -> None:
    """A form to /trade/v1/payment, signed over its raw values, without what was not given."""
    order = make_order(
        channel="qr",
        subject="測試商品",
        expires_in_s=600,
        notify_url="https://shop.example/n?a=1&b=2",
        extra={"pay_tag": "ALIPAYHK"},
    )
    request = next(make_provider().create(order))
    assert (request.method, request.path) == ("POST", "/trade/v1/payment")
    sent = fields_in(request)
    assert sent == {
        "txamt": "1099",
        "txcurrcd": "HKD",
        "pay_type": "801501",
        "out_trade_no": NUMBER,
        "txdtm": "2026-01-01 12:00:00",
        "goods_name": "測試商品",
        "expired_time": "10",
        "notify_url": "https://shop.example/n?a=1&b=2",
        "pay_tag": "ALIPAYHK",
    }
    assert request.headers == {
        "X-QF-APPCODE": APP_CODE,
        "X-QF-SIGN": sign_request(sent, key=Secret(KEY)),
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_create_request_with_sha256_names_it() -> None:
    """X-QF-SIGNTYPE goes with SHA256 only; absent means MD5."""
    request = next(make_provider(sign_type="SHA256").create(make_order()))
    assert request.headers["X-QF-SIGNTYPE"] == "SHA256"
    expected = sign_request(fields_in(request), key=Secret(KEY), sign_type="SHA256")
    assert request.headers["X-QF-SIGN"] == expected


def test_create_request_has_mchid_exactly_when_configured() -> None:
    """An issued mchid is in every request, signed; otherwise the field is absent."""
    assert "mchid" not in fields_in(next(make_provider().create(make_order())))
    request = next(make_provider(mchid="ZaMVg12345").create(make_order()))
    sent = fields_in(request)
    assert sent["mchid"] == "ZaMVg12345"
    assert request.headers["X-QF-SIGN"] == sign_request(sent, key=Secret(KEY))


def test_create_request_is_signed_with_the_first_key() -> None:
    """In a rotation the first key signs."""
    request = next(make_provider(client_key=(Secret("new"), Secret("old"))).create(make_order()))
    assert request.headers["X-QF-SIGN"] == sign_request(fields_in(request), key=Secret("new"))


def test_create_request_device_of_the_order_before_the_accounts() -> None:
    """`udid` is the order's device, else the account's."""
    provider = make_provider(udid="shop")
    assert fields_in(next(provider.create(make_order())))["udid"] == "shop"
    assert fields_in(next(provider.create(make_order(device_id="till-1"))))["udid"] == "till-1"


def test_create_request_time_is_in_the_accounts_zone() -> None:
    """txdtm is the merchant's own clock; a resend has the same bytes."""
    provider = make_provider(timezone="Asia/Tokyo")
    first, again = next(provider.create(make_order())), next(provider.create(make_order()))
    assert fields_in(first)["txdtm"] == "2026-01-01 13:00:00"
    assert (first.body, first.headers) == (again.body, again.headers)


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("Two coffees", "Two coffees"),
        ("A subject of more than twenty characters", "A subject of more th"),
        ("One two three four  five", "One two three four f"),
        ("x" * 19 + " y", "x" * 19),
        ("測試商品" * 6, "測試商品" * 5),
        ("AT&T's \u2019 $5 (50%) caf\u00e9!", "AT Ts 5 50 caf\u00e9"),
        ("cafe\u0301", "caf\u00e9"),  # one letter, however it is written
        ("x" * 18 + "ก็\u0e49y", "x" * 18),  # never a letter without its marks
        ("x" * 17 + "ก็\u0e49y", "x" * 17 + "ก็\u0e49"),
        ("\u0301a", "a"),
        ("☕\ufe0f tea", "tea"),
        ("a\u00adb\u200bc", "abc"),
        ("a\u00a0b", "a b"),
        ("☕", None),
        ("\ud800", None),
        ("", None),
        ("ก" + "\u0e49" * 20, None),
    ],
)
def test_create_request_has_as_much_of_the_subject_as_qfpay_takes(subject: str, sent: str | None) -> None:
    """At most 20 characters and no special ones; nothing is refused for its subject."""
    provider, order = make_provider(), make_order(subject=subject)
    provider.check(order)
    assert fields_in(next(provider.create(order))).get("goods_name") == sent


@given(st.text(max_size=60))
def test_create_request_any_subject_can_be_sent(subject: str) -> None:
    """What is sent is within the bound, and is sent unchanged where it stands for a subject again."""
    sent = fields_in(next(make_provider().create(make_order(subject=subject)))).get("goods_name", "")
    assert len(sent) <= 20
    assert all(unicodedata.category(char)[0] in "LMN" or char in "-_. " for char in sent)
    assert fields_in(next(make_provider().create(make_order(subject=sent)))).get("goods_name", "") == sent


@pytest.mark.parametrize(("expires_in_s", "sent"), [(300, "5"), (359, "5"), (360, "6"), (7200, "120")])
def test_create_request_lifetime_is_in_whole_minutes(expires_in_s: int, sent: str) -> None:
    """QFPay takes minutes: the order does not live longer than asked for, and the reply says how long."""
    order = make_order(expires_in_s=expires_in_s)
    assert fields_in(next(make_provider().create(order)))["expired_time"] == sent
    outcome = created(run(make_provider().create(order), always(ACCEPTED)))
    assert outcome.expires_in_s == int(sent) * 60


def test_create_may_move_money() -> None:
    """No request of it is safe to lose."""
    assert not next(make_provider().create(make_order())).is_safe


# --- accepted ------------------------------------------------------------------------------------------


def test_create_accepted_is_pending_never_paid() -> None:
    """0000 on a pay_url order means accepted; its paydtm proves nothing (SOURCES.md §8, items 1 and 2)."""
    value = created(create(always(ACCEPTED)))
    assert value.action == Redirect(url="https://pay.example/x", show_as="qr")
    assert value.observation == PaymentObservation(
        number=NUMBER,
        status=Status.PENDING,
        provider_id=SYSSN,
        amount=Money("10.99", "HKD"),
        occurred_at=datetime(2026, 1, 1, 4, 0, 1, tzinfo=UTC),
        words={"respcd": "0000", "resperr": "success"},
    )


@pytest.mark.parametrize(
    ("region", "channel", "expires_in_s", "sysdtm", "expires_at"),
    [
        ("overseas", "web", None, "2026-01-01 12:00:01", datetime(2026, 1, 1, 4, 30, 1, tzinfo=UTC)),
        ("overseas", "web", 300, "2026-01-01 12:00:01", datetime(2026, 1, 1, 4, 5, 1, tzinfo=UTC)),
        ("overseas", "wap", 7200, "", datetime(2026, 1, 1, 6, 0, 0, tzinfo=UTC)),
        ("hk", "web", None, "2026-01-01 12:00:01", datetime(2026, 1, 1, 4, 30, 1, tzinfo=UTC)),
        ("hk", "jsapi", None, "2026-01-01 12:00:01", None),
    ],
)
def test_create_expiry_is_told_where_it_is_documented(
    region: str, channel: str, expires_in_s: int | None, sysdtm: str, expires_at: datetime | None
) -> None:
    """`expired_time` from QFPay's own time, 30 minutes by default; 800107 has no documented end."""
    reply = {**ACCEPTED, "sysdtm": sysdtm, "pay_params": {"tradeNO": "2026010122001"}}
    outcome = create(always(reply), settings={"region": region}, channel=channel, expires_in_s=expires_in_s)
    assert created(outcome).expires_at == expires_at


def test_create_amount_of_the_reply_is_passed_on_as_it_is() -> None:
    """The core compares amount and currency, text or number."""
    value = created(create(always({**ACCEPTED, "txamt": 999, "txcurrcd": "CNY"})))
    assert value.observation.amount == Money("9.99", "CNY")


def test_create_service_window_sample_reply_decodes() -> None:
    """
    The page's sample: an overseas WAP reply without out_trade_no and with a blank pay_url.

    Source: G4 "Alipay Service Window H5"; the blank URL is a lost reply part, so the order stays known.
    """
    sample = {
        "sysdtm": "2020-04-13 11:32:03", "paydtm": "2020-04-13 11:32:03", "txcurrcd": "HKD", "respmsg": "",
        "pay_type": "801107", "cardcd": "", "udid": "qiantai2", "txdtm": "2020-04-13 11:32:03", "txamt": "300",
        "resperr": "success", "syssn": "20200413000200020087171988", "respcd": "0000", "pay_url": "", "chnlsn": "",
    }  # fmt: skip
    outcome = create(
        always(sample), settings={"region": "overseas"}, channel="wap", amount=Money("3.00", "HKD")
    )
    assert isinstance(outcome, Unknown)
    assert outcome.problem == "accepted, but pay_url is missing"
    assert isinstance(outcome.observation, PaymentObservation)
    assert outcome.observation.status is Status.PENDING
    assert outcome.observation.provider_id == "20200413000200020087171988"
    assert outcome.observation.amount == Money("3.00", "HKD")


def test_create_web_sample_reply_decodes() -> None:
    """801101 accepted, with a pay_url. Source: G5-live "Alipay Web Payments"."""
    sample = {
        "sysdtm": "2020-04-13 10:30:34", "paydtm": "2020-04-13 10:30:34", "txcurrcd": "HKD", "respmsg": "",
        "pay_type": "801101", "udid": "qiantai2", "txdtm": "2020-04-13 10:30:34", "txamt": "300",
        "resperr": "success", "out_trade_no": "4K35N374II7UJJ8RGIAE45O2CVHGHFF0",
        "syssn": "20200413000300020087033882", "respcd": "0000",
        "pay_url": "https://globalmapi.alipay.com/gateway.do?...", "chnlsn": "",
    }  # fmt: skip
    value = created(
        create(always(sample), settings={"region": "overseas"}, number="4K35N374II7UJJ8RGIAE45O2CVHGHFF0")
    )
    assert value.action == Redirect(url="https://globalmapi.alipay.com/gateway.do?...")
    assert value.observation.status is Status.PENDING
    assert value.observation.occurred_at == datetime(2020, 4, 13, 2, 30, 34, tzinfo=UTC)


def test_create_service_window_reply_decodes() -> None:
    """800107: pay_params.tradeNO and txcurrcd (G4's field table; no official sample exists)."""
    reply = {"respcd": "0000", "syssn": SYSSN, "txcurrcd": "HKD", "pay_params": {"tradeNO": "2026010122001"}}
    value = created(create(always(reply), channel="jsapi", payer_id="2088802811715388"))
    assert value.action == WalletCall(call="tradePay", params={"tradeNO": "2026010122001"})
    assert value.observation.amount is None


def test_create_scanned_code_official_reply_is_paid_and_signed() -> None:
    """V3, the official signed CPM reply of G2: paid at once."""
    gateway = always(V3, headers={"x-qf-sign": "1E2CE7C2A7F8F581C354A857182B7A31"})
    outcome = create(
        gateway,
        settings={"client_key": (Secret(V3_KEY),), "require_signed_replies": True},
        channel="barcode",
        auth_code=AUTH_CODE,
        number="130145934788787530052",
        amount=Money("0.01", "CNY"),
    )
    value = created(outcome)
    assert value.action is None
    assert value.expires_at is None
    assert value.observation.status is Status.PAID
    assert value.observation.provider_id == "20180112000100020001662134"
    assert value.observation.amount == Money("0.01", "CNY")
    assert value.observation.words == {"respcd": "0000", "resperr": "交易成功", "pay_type": "800108"}
    # The reply has no paydtm; sysdtm is QFPay's time of the trade.
    assert value.observation.occurred_at == datetime(2018, 1, 12, 11, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("respcd", ["1143", "1145", "1298", "2999"])
def test_create_scanned_code_in_progress_is_pending(respcd: str) -> None:
    """The payer is typing a password: query again."""
    value = created(create(always({**ACCEPTED, "respcd": respcd}), channel="barcode", auth_code=AUTH_CODE))
    assert value.observation.status is Status.PENDING
    assert value.observation.words["respcd"] == respcd


def test_create_scanned_code_paid_without_syssn_is_unknown() -> None:
    """Paid needs QFPay's id; the query will report it."""
    outcome = create(always({"respcd": "0000"}), channel="barcode", auth_code=AUTH_CODE)
    assert outcome == Unknown(problem="paid, but without syssn")


@pytest.mark.parametrize("respcd", ["1143", "1145"])
def test_create_in_progress_with_a_url_can_be_paid(respcd: str) -> None:
    """1143 on a URL order is an accepted order; without its URL it stays known."""
    value = created(create(always({**ACCEPTED, "respcd": respcd})))
    assert value.action is not None
    outcome = create(always({"respcd": respcd, "syssn": SYSSN}))
    assert isinstance(outcome, Unknown)
    assert outcome.observation is not None


@pytest.mark.parametrize("respcd", ["1142", "1181", "1263"])
def test_create_of_a_closed_order_is_closed(respcd: str) -> None:
    """A resend may find an order that has ended."""
    observation = created(create(always({"respcd": respcd, "resperr": "closed"}))).observation
    assert (observation.number, observation.status) == (NUMBER, Status.CLOSED)
    assert observation.failure is not None
    assert observation.failure.code == respcd


def test_create_of_a_closed_order_with_an_amount_that_can_not_be_read_is_unknown() -> None:
    """It may be another order that is closed."""
    outcome = create(always({"respcd": "1142", "txamt": "10.99"}))
    assert isinstance(outcome, Unknown)
    assert outcome.problem.startswith("the reply tells an amount that can't be read")


# --- refused or unclear --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply", [{"respcd": "1102"}, {"respcd": "2011"}, {"respcd": "1251", "respmsg": "out_trade_no is used"}]
)
def test_create_number_in_use_is_a_duplicate(reply: dict[str, str]) -> None:
    """Two documented codes and one seen live."""
    outcome = create(always(reply))
    assert isinstance(outcome, Rejected)
    assert outcome.is_duplicate


@pytest.mark.parametrize("respcd", ["1104", "1105", "1108", "1243", "1251"])
def test_create_refused_account_is_the_operators(respcd: str) -> None:
    """Credentials and settings: no money moved, and the operator must correct them."""
    outcome = create(always({"respcd": respcd, "resperr": "signature error", "respmsg": "filter error"}))
    assert isinstance(outcome, Rejected)
    assert not outcome.is_duplicate
    assert outcome.failure.who_acts == "operator"
    assert outcome.failure.message == "signature error; filter error"


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (answer(ACCEPTED, status=500), "HTTP status 500"),
        (answer(ACCEPTED, status=201), "HTTP status 201"),
        (answer({"respcd": "1108"}, status=401), "HTTP status 401"),
        (answer(b"<html>"), "not a PaymentReply in JSON"),
        (answer(b'{"respcd": "0000", "sys'), "not a PaymentReply in JSON"),
        (answer(b""), "not a PaymentReply in JSON"),
        (
            answer({**ACCEPTED, "out_trade_no": "ANOTHER"}),
            "the reply's out_trade_no is not that of the request",
        ),
        (
            answer({"respcd": "1201", "out_trade_no": "ANOTHER"}),
            "the reply's out_trade_no is not that of the request",
        ),
        (
            answer({**ACCEPTED, "txamt": "10.99"}),
            'the reply tells HKD without an amount, an amount that can\'t be read: txamt "10.99"',
        ),
        (
            answer({**ACCEPTED, "txcurrcd": "XXX"}),
            "the reply tells 1099 minor units without a currency, an amount",
        ),
        (answer({"respcd": "1298x"}), "respcd 1298x: no text. Query the order before anything else"),
    ],
)
def test_create_unusable_answer_is_unknown(response: Response, problem: str) -> None:
    """Nothing definite: money may have moved, whatever the status says."""
    outcome = create(lambda request: response)
    assert isinstance(outcome, Unknown)
    assert outcome.problem.startswith(problem)
    assert outcome.observation is None


def test_create_unsafe_url_is_not_shown_and_the_order_stays_known() -> None:
    """A URL of an unsafe form is not returned; the order exists all the same."""
    outcome = create(always({**ACCEPTED, "qrcode": "http://evil.example/"}), channel="qr")
    assert isinstance(outcome, Unknown)
    assert outcome.problem == "accepted, but qrcode has a scheme other than https"
    assert isinstance(outcome.observation, PaymentObservation)
    assert outcome.observation.provider_id == SYSSN


# --- signatures of replies -----------------------------------------------------------------------------

BODY = answer(ACCEPTED).body
GOOD = sign_body(BODY, key=Secret(KEY))
GOOD_SHA256 = sign_body(BODY, key=Secret(KEY), sign_type="SHA256")


@pytest.mark.parametrize(
    ("headers", "holds"),
    [
        ({"x-qf-sign": GOOD}, True),
        ({"x-qf-sign": GOOD.lower()}, True),
        ({"x-qf-sign": GOOD_SHA256, "x-qf-signtype": "sha256"}, True),
        ({"x-qf-sign": GOOD, "x-qf-signtype": "MD5"}, True),
        ({"x-qf-sign": GOOD_SHA256}, False),
        ({"x-qf-sign": "0" * 32}, False),
        ({"x-qf-sign": ""}, False),
        ({}, None),
    ],
)
def test_create_reply_signature_is_checked_when_present(
    headers: dict[str, str], *, holds: bool | None
) -> None:
    """A wrong one is no answer, and is reported; a missing one is none either where required."""
    for strict in (False, True):
        outcome = create(always(BODY, headers=headers), settings={"require_signed_replies": strict})
        if holds is False:
            assert isinstance(outcome, Unknown)
            assert outcome.problem == "the reply's signature is wrong"
            assert outcome.observation is not None
            assert outcome.observation.is_signed_wrong
        elif holds is None and strict:
            assert outcome == Unknown(problem="the reply is not signed, as this account requires")
        else:
            assert not created(outcome).observation.is_signed_wrong


@pytest.mark.parametrize(
    "reply", [{"respcd": "1201"}, {"respcd": "1102"}, {"respcd": "9999"}, {"respcd": "1142"}]
)
def test_create_refused_with_a_wrong_signature_is_unknown(reply: dict[str, str]) -> None:
    """A refusal would mean that no money moved, so it needs a valid signature too."""
    outcome = create(always(reply, headers={"x-qf-sign": "0" * 32}))
    assert isinstance(outcome, Unknown)
    assert outcome.observation == PaymentObservation(
        number=NUMBER, status=Status.PENDING, words=reply, is_signed_wrong=True
    )


def test_create_refused_for_our_signature_is_the_operators_whatever_its_own() -> None:
    """With a wrong key no reply's signature is valid: 1108 says what to correct."""
    outcome = create(always({"respcd": "1108"}, headers={"x-qf-sign": "0" * 32}))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


def test_create_reply_signed_with_the_old_key_holds() -> None:
    """During a rotation every key verifies."""
    settings = {"client_key": (Secret("new"), Secret(KEY)), "require_signed_replies": True}
    assert isinstance(create(always(BODY, headers={"x-qf-sign": GOOD}), settings=settings), Done)


def test_create_never_shows_a_secret() -> None:
    """Keys and scanned codes are in no repr of a request, and in no outcome."""
    order = make_order(channel="barcode", auth_code=AUTH_CODE)
    provider = make_provider()
    flow = provider.create(order)
    shown = [repr(next(flow)), repr(provider._settings), repr(order)]
    replies = ({"respcd": "1202"}, {"respcd": "9999"}, ACCEPTED)
    shown += [repr(create(always(reply), channel="barcode", auth_code=AUTH_CODE)) for reply in replies]
    assert not [text for text in shown if KEY in text or AUTH_CODE.reveal() in text]


def test_create_with_too_many_requests_is_not_now() -> None:
    """429 is documented: over the limit nothing is done, and the same order can be sent later."""
    outcome = create(always(b"Too Many Requests", status=429))
    assert outcome == NotNow(problem="HTTP status 429, too many requests", retry_after_s=5.0)
    signed_only = create(always(b"", status=429), settings={"require_signed_replies": True})
    assert isinstance(signed_only, NotNow)
