"""The result-code table, code by code against SOURCES.md §6, and each code's outcome."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from paycore.plugin import Done, NotNow, Rejected, Secret, Status, Unknown
from plugins.qfpay_alipay.tests.support import (
    SYSSN,
    always,
    make_order,
    make_provider,
    make_ref,
    make_refund,
    run,
)
from qfpay_alipay.messages import Answer
from qfpay_alipay.respcodes import CODES, JUDGEMENTS, Asked, Judgement, Meaning, resolve

CLASSES = {
    "accepted": "0000",
    "pending": "1143 1145 1298 2999",
    "later": (
        "1100 1101 1110 1111 1112 1127 1128 1129 1130 1131 1132 1133 1134 1135 1136 1137 1138 1139 1140 1141 1146 "
        "1151 1152 1153 1154 1161 1170 1180 1252 1254 1295 1296 1297 2008 2009 2010"
    ),
    "declined": ("1113 1114 1115 1116 1117 1118 1144 1147 1201 1202 1203 1204 1205 1212 2004 2005 2006 2007"),
    "closed": "1142 1181 1263 1264",
    "state": "1125 1126 1260 1261 1262 1266 1267 1268",
    "duplicate": "1102 2011",
    "refused": "1103 1104 1105 1106 1107 1108 1109 1241 1242 1243 1250 1251 2012",
    "limited": "1119 1121 1122 1123 1124 1150 1155 1270 1271 1272 1294",
    "not now": "1120 1265 1269",
    "unknown": "2001 2002 2003",
}
MEANING_OF = {code: Meaning(name) for name, codes in CLASSES.items() for code in codes.split()}

CURRENT_LIST = (
    "0000 1100 1101 1102 1103 1104 1105 1106 1107 1108 1124 1125 1136 1142 1143 1145 1147 1150 1155 1181 1201 1202 "
    "2005 1203 1204 1205 1212 1241 1242 1243 1250 1251 1252 1254 1260 1261 1262 1263 1264 1265 1266 1267 1268 1269 "
    "1270 1271 1272 1294 1295 1296 1297 1298 2011"
).split()
OLD_LIST = [
    *map(str, [*range(1109, 1124), *range(1126, 1142), 1144, 1146, *range(1151, 1155), 1161, 1170, 1180]),
    *map(str, [*range(2001, 2005), *range(2006, 2011), 2012, 2999]),
]

# What each meaning comes to, by what was asked: written out, not computed.
EXPECTED: dict[str, dict[str, str]] = {
    "accepted": dict.fromkeys(get_args(Asked), "accepted"),
    "pending": {**dict.fromkeys(get_args(Asked), "pending"), "query": "open"},
    "later": {
        **dict.fromkeys(get_args(Asked), "open"),
        "payment record": "pending",
        "refund record": "pending",
    },
    "declined": {**dict.fromkeys(get_args(Asked), "rejected"), "query": "open"},
    "limited": {**dict.fromkeys(get_args(Asked), "rejected"), "query": "open"},
    "not now": {
        **dict.fromkeys(get_args(Asked), "not now"),
        "query": "open",
        "payment record": "rejected",
        "refund record": "rejected",
    },
    "refused": dict.fromkeys(get_args(Asked), "rejected"),
    "closed": {
        "create": "closed",
        "refund": "rejected",
        "close": "closed",
        "query": "open",
        "payment record": "closed",
        "refund record": "rejected",
    },
    "state": {**dict.fromkeys(get_args(Asked), "open"), "refund": "rejected"},
    "duplicate": {**dict.fromkeys(get_args(Asked), "open"), "create": "duplicate", "refund": "duplicate"},
    "unknown": dict.fromkeys(get_args(Asked), "open"),
}


def test_codes_are_exactly_those_of_the_sources() -> None:
    """Both lists of SOURCES.md §6, and no others."""
    assert set(CODES) == set(CURRENT_LIST) | set(OLD_LIST) == set(MEANING_OF)


@pytest.mark.parametrize("respcd", CODES)
def test_code_row_is_complete_and_of_its_class(respcd: str) -> None:
    """Each code has its meaning, who acts, and one or two sentences of advice."""
    code = CODES[respcd]
    assert code.respcd == respcd
    assert code.meaning is MEANING_OF[respcd]
    assert code.advice.endswith(".")
    assert (code.who_acts == "operator") is (code.meaning is Meaning.REFUSED)
    if code.meaning is Meaning.DECLINED:
        assert code.who_acts == "payer"


@pytest.mark.parametrize("asked", get_args(Asked))
@pytest.mark.parametrize("meaning", Meaning)
def test_verdict_table_is_total_and_as_written(asked: Asked, meaning: Meaning) -> None:
    """Every meaning has one verdict for each kind of request."""
    assert JUDGEMENTS[asked][meaning] is Judgement(EXPECTED[meaning][asked])


@pytest.mark.parametrize("asked", get_args(Asked))
@pytest.mark.parametrize("respcd", ["1148", "9999", "0", "", "OK", "00000", "abc"])
def test_resolve_unlisted_code_is_neither_success_nor_failure(respcd: str, asked: Asked) -> None:
    """An unlisted code is unknown for every request."""
    assert JUDGEMENTS[asked][resolve(asked, Answer(respcd=respcd)).meaning] is Judgement.OPEN


RESOLVED = [
    # asked, code, text, late -> meaning
    ("create", "1250", "", False, "refused"),
    ("refund", "1250", "", False, "limited"),
    ("create", "1251", "store misconfigured", False, "refused"),
    ("create", "1251", "交易失敗; Out_Trade_No is used", False, "duplicate"),
    ("refund", "1251", "out_trade_no is used", False, "duplicate"),
    ("refund", "1265", "refunds are barred 23:30-00:30", False, "not now"),
    ("refund", "1265", "over the refundable time limit", False, "limited"),
    ("refund", "1265", "refunds are barred 23:30-00:30", True, "limited"),
    ("refund", "1297", "", False, "later"),
    ("refund", "1297", "", True, "limited"),
    ("create", "1297", "", True, "later"),
]


@pytest.mark.parametrize(("asked", "respcd", "text", "late", "meaning"), RESOLVED)
def test_resolve_ambiguous_code_is_told_apart(
    asked: Asked, respcd: str, text: str, *, late: bool, meaning: str
) -> None:
    """1250, 1251, 1265 and 1297 mean different things by operation, text and age (SOURCES.md §5.1, 91APP)."""
    code = resolve(asked, Answer(respcd=respcd, resperr=text), is_late_refund=late)
    assert (code.respcd, code.meaning) == (respcd, Meaning(meaning))


@pytest.mark.parametrize("respcd", CODES)
def test_create_reply_with_code_comes_to_its_outcome(respcd: str) -> None:
    """A creation has the table's outcome, and a failure keeps respcd, resperr and respmsg."""
    order = make_order(channel="barcode", auth_code=Secret("283854702356157409"))
    reply = {"respcd": respcd, "resperr": "said", "respmsg": "more", "syssn": SYSSN}
    outcome = run(make_provider().create(order), always(reply))
    judgement = JUDGEMENTS["create"][MEANING_OF[respcd]]
    if judgement is Judgement.OPEN:
        assert isinstance(outcome, Unknown)
        assert respcd in outcome.problem
        assert outcome.observation is None
    elif judgement is Judgement.NOT_NOW:
        assert isinstance(outcome, NotNow)
        assert (respcd in outcome.problem, "said; more" in outcome.problem) == (True, True)
    elif judgement in (Judgement.REJECTED, Judgement.DUPLICATE):
        assert isinstance(outcome, Rejected)
        assert outcome.is_duplicate is (judgement is Judgement.DUPLICATE)
        assert (outcome.failure.code, outcome.failure.message) == (respcd, "said; more")
        assert outcome.failure.advice == CODES[respcd].advice
    else:
        expected = {"accepted": Status.PAID, "pending": Status.PENDING, "closed": Status.CLOSED}[judgement]
        assert isinstance(outcome, Done)
        assert outcome.value.observation.status is expected


@pytest.mark.parametrize("respcd", CODES)
def test_refund_reply_with_code_comes_to_its_outcome(respcd: str) -> None:
    """A refund has the table's outcome."""
    expected: dict[str, type[Any]] = {
        "rejected": Rejected,
        "duplicate": Rejected,
        "not now": NotNow,
        "open": Unknown,
        "accepted": Done,
        "pending": Done,
    }
    outcome = run(make_provider().refund(make_refund()), always({"respcd": respcd, "syssn": "R1"}))
    judgement = JUDGEMENTS["refund"][resolve("refund", Answer(respcd=respcd)).meaning]
    assert isinstance(outcome, expected[judgement])
    if isinstance(outcome, Done):
        assert outcome.value.status == {"accepted": "succeeded", "pending": "pending"}[judgement]


@pytest.mark.parametrize("respcd", CODES)
@pytest.mark.parametrize("kind", ["payment", "refund"])
def test_record_with_code_is_observed_as_its_verdict(respcd: str, kind: str) -> None:
    """A record is paid, pending, closed, failed, or undecided; never absent."""
    record = {"respcd": respcd, "out_trade_no": "A1", "syssn": SYSSN, "order_type": kind, "errmsg": "said"}
    reply = {"respcd": "0000", "data": [record]}
    outcome = run(make_provider().query([make_ref(number="A1", kind=kind)]), always(reply))
    assert isinstance(outcome, Done)
    assert outcome.value.absent == frozenset()
    judgement = JUDGEMENTS["payment record" if kind == "payment" else "refund record"][MEANING_OF[respcd]]
    words = {
        "payment": {"accepted": "paid", "pending": "pending", "closed": "closed", "rejected": "failed"},
        "refund": {"accepted": "succeeded", "pending": "pending", "rejected": "failed"},
    }
    seen = [observation.status for observation in outcome.value.observations]
    assert seen == [words[kind][judgement]] if judgement is not Judgement.OPEN else seen == []
    for observation in outcome.value.observations:
        is_over = observation.status in ("closed", "failed")
        assert (observation.failure is not None and observation.failure.message == "said") is is_over


@pytest.mark.parametrize("respcd", CODES)
def test_query_reply_with_code_never_says_how_an_order_stands(respcd: str) -> None:
    """A query's own code is about the call: credentials refused, or no answer."""
    outcome = run(make_provider().query([make_ref()]), always({"respcd": respcd, "data": None}))
    is_refused = MEANING_OF[respcd] is Meaning.REFUSED
    assert isinstance(outcome, Rejected if is_refused else Unknown)
