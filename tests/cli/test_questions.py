"""What an operator asks at night, and its answers on a terminal, as JSON and as CSV; only the ledger is read."""

import csv
import io
import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from paycore import Payment
from paycore.cli import quick
from paycore.cli.moments import moment_of
from paycore.cli.render.csv_rows import PAYMENT_COLUMNS, payment_cells
from paycore.cli.render.text import Style, width
from paycore.cli.render.total_rows import totals_table
from paycore.domain.events import Observed
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Status
from paycore.domain.totals import Totals, TotalsBy
from paycore.ledger import open_ledger
from paycore.ledger.api import Filter
from tests.cli.conftest import Cli, Ran
from tests.ledger.many import row, store
from tests.ledger.test_totals import made
from tests.ledger.workload import begun, refunding, seen

NOW = datetime.now(UTC).replace(microsecond=0)
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"

CONFIG = """
ledger = "sqlite:///paycore.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "live"
region = "hk"
app_code = { env = "NOBODY_SET_THIS" }
client_key = { file = "nowhere" }
"""


def old_shop() -> list[Payment]:
    """Payments of two accounts: waiting, paid, being refunded, under review; made an hour apart until now."""
    payments = []
    for n, kind in enumerate(("pending", "paid", "refunding", "pending", "twice", "closed")):
        at = NOW - timedelta(hours=6 - n)
        begin = begun(f"{'a' if n < 4 else 'b'}-{n}", account="hk" if n % 2 == 0 else "sg")[1](at)
        payment = evolve(None, begin, at)
        statuses = {"pending": [Status.PENDING], "closed": [Status.CLOSED], "twice": [Status.PAID] * 2}
        for charge, status in enumerate(statuses.get(kind, [Status.PAID])):
            told = seen(payment.order_number, status, charge=f"C{charge}")
            payment = evolve(payment, Observed(observation=told), at)
        for change in refunding("back")(payment, at) if kind == "refunding" else ():
            payment = evolve(payment, change, at)
        payments.append(payment)
    return payments


@pytest.fixture
def kept() -> list[Payment]:
    """Such a shop in the working folder, whose provider can't be used: keys are missing."""
    Path("paycore.toml").write_text(CONFIG, encoding="utf-8")
    payments = old_shop()
    with closing(open_ledger(f"sqlite:///{Path.cwd() / 'paycore.db'}")):
        store(f"sqlite:///{Path.cwd() / 'paycore.db'}", map(row, payments))
    return payments


def references(ran: Ran) -> list[str]:
    """The references that a command listed, from its CSV."""
    assert ran.code == 0, ran
    return [line["reference"] for line in csv.DictReader(io.StringIO(ran.out))]


def test_every_filter_finds_what_it_names(cli: Cli, kept: list[Payment]) -> None:
    """Each filter alone, together with others, and in either order."""

    def found(words: str) -> list[str]:
        return references(cli("list", *words.split(), "--csv"))

    every = ["b-5", "b-4", "a-3", "a-2", "a-1", "a-0"]
    assert found("") == found("--sort newest") == every
    assert found("--sort oldest") == every[::-1]
    assert found("--account sg") == ["b-5", "a-3", "a-1"]
    assert found("--status paid") == ["b-4", "a-2", "a-1"]
    assert found("--refunding") == ["a-2"]
    assert found("--review") == ["b-4"]
    assert found("--reason paid_twice") == ["b-4"]
    assert found("--uncertain") == ["a-3", "a-2", "a-0"]
    assert found("--open --sort oldest") == ["a-0", "a-2", "a-3"]
    assert found("--reference-prefix b-") == ["b-4", "b-5"]
    assert found("--reference-prefix a- --sort newest --limit 2") == ["a-3", "a-2"]
    assert found("--since 150m") == ["b-5", "b-4"]
    assert found("--until 5h30m") == ["a-0"]
    assert found("--by paid --sort oldest") == ["a-1", "a-2", "b-4"]
    assert found("--open --account hk --since 1d --reference-prefix a-") == ["a-0", "a-2"]


def test_a_list_goes_on_in_its_order(cli: Cli, kept: list[Payment]) -> None:
    """The command for the next page goes on oldest first too, and also as CSV."""
    page = cli("list", "--sort", "oldest", "--limit", "2", "--csv")
    assert references(page) == ["a-0", "a-1"]
    after = re.search(r"--after (\S+)", page.err)
    assert after is not None
    rest = cli("list", "--sort", "oldest", "--after", after[1], "--limit", "0", "--csv")
    assert references(rest) == ["a-2", "a-3", "b-4", "b-5"]


def test_csv_has_what_json_has(cli: Cli, kept: list[Payment], monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same names, over all pages, with a header once; amounts are in major units."""
    monkeypatch.setattr(quick, "AT_ONCE", 2)
    ran = cli("list", "--limit", "0", "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    documents = [json.loads(line) for line in cli("list", "--limit", "0", "--json").out.splitlines()]
    assert len(rows) == len(documents) == 6
    assert tuple(rows[0]) == PAYMENT_COLUMNS
    same = [
        name
        for name in PAYMENT_COLUMNS
        if name in documents[0] and name not in {"uncertain", "review_reasons"}
    ]
    assert len(same) > 15
    for line, document in zip(rows, documents, strict=True):
        assert {name: line[name] for name in same} == {name: document[name] or "" for name in same}
        assert line["uncertain"] == json.dumps(document["uncertain"])
        assert line["review_reasons"] == " ".join(document["review_reasons"])
    assert (rows[1]["amount"], rows[1]["paid"], rows[1]["refunded"]) == ("88.00", "176.00", "0.00")


def test_csv_of_nothing_is_its_header(cli: Cli, kept: list[Payment]) -> None:
    """A script finds the columns whatever there is; a person is told that there is nothing."""
    ran = cli("list", "--status", "failed", "--csv")
    assert (ran.code, ran.out, ran.err) == (0, ",".join(PAYMENT_COLUMNS) + "\n", "no payments\n")
    ran = cli("totals", "--account", "nobody", "--csv")
    assert ran.out == "currency,count,amount,paid,refunded,charged_back,charge_back_won\n"
    assert "no account is called 'nobody'" in ran.err
    Path("paycore.db").unlink()
    for word in ("list", "totals"):
        ran = cli(word, "--csv")
        assert (ran.code, ran.out.count("\n")) == (0, 1), ran
        assert cli(word, "--json").out == ""


def test_a_reference_is_no_formula_in_csv() -> None:
    """Whatever a shop calls its orders."""
    (payment, *_) = old_shop()
    order = replace(payment.order, reference='=HYPERLINK("https://evil.example")')
    cells = payment_cells(replace(payment, order=order))
    assert len(cells) == len(PAYMENT_COLUMNS)
    from paycore.cli.render.csv_lines import csv_lines

    _, line = csv_lines(PAYMENT_COLUMNS, [cells])
    assert ",\"'=HYPERLINK(" in line


def test_totals_of_each_kind(cli: Cli, kept: list[Payment]) -> None:
    """By currency alone; by keys with commas or repeated, in their order; of a range; and as JSON and CSV."""
    table = cli("totals").out.splitlines()
    assert [line.split() for line in table] == [
        ["CCY", "COUNT", "AMOUNT", "PAID", "REFUNDED"],
        ["HKD", "6", "528.00", "352.00", "0.00"],
    ]
    first = cli("totals", "--by", "status,account", "--csv")
    assert first.out == cli("totals", "--by", "status", "--by", "account", "--csv").out
    rows = list(csv.DictReader(io.StringIO(first.out)))
    assert [(line["status"], line["account"], line["count"]) for line in rows] == [
        ("pending", "hk", "1"),
        ("pending", "sg", "1"),
        ("paid", "hk", "2"),
        ("paid", "sg", "1"),
        ("closed", "sg", "1"),
    ]
    (document,) = [json.loads(line) for line in cli("totals", "--since", "90m", "--json").out.splitlines()]
    assert document == {
        "day": None, "account": None, "status": None, "currency": "HKD", "count": 1,
        "amount": "88.00", "amount_minor": 8800, "paid": "0.00", "paid_minor": 0,
        "refunded": "0.00", "refunded_minor": 0, "charged_back": "0.00", "charged_back_minor": 0,
        "charge_back_won": "0.00", "charge_back_won_minor": 0,
    }  # fmt: skip
    assert (
        cli("totals", "--time", "paid", "--account", "sg", "--csv").out.splitlines()[1].startswith("HKD,1,")
    )


def test_totals_by_day_are_of_the_time_zone(cli: Cli, kept: list[Payment]) -> None:
    """A day begins at midnight in the zone, and so does a date without a time."""
    far = "Pacific/Kiritimati"  # 14 hours ahead
    days = {line["day"] for line in csv.DictReader(io.StringIO(cli("totals", "--by", "day", "--csv").out))}
    assert days == {f"{payment.created_at:%Y-%m-%d}" for payment in kept}
    ran = cli("totals", "--by", "day", "--timezone", far, "--csv")
    there = {f"{payment.created_at + timedelta(hours=14):%Y-%m-%d}" for payment in kept}
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {line["day"] for line in rows} == there
    first = min(there)
    after = (datetime.fromisoformat(first) + timedelta(days=1)).date()
    one = cli("totals", "--since", first, "--until", after, "--timezone", far, "--csv").out.splitlines()[1]
    assert one.split(",")[1] == next(line["count"] for line in rows if line["day"] == first)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("totals --by month", "--by: 'month' is not one of day, account, status, currency"),
        ("totals --by day,", "--by: '' is not one of"),
        ("totals --time closed", "--time: 'closed' is not one of created, updated, paid"),
        ("totals --timezone Mars/Phobos", "--timezone: this machine knows no time zone 'Mars/Phobos'"),
        ("totals --timezone ../../etc/passwd", "--timezone: this machine knows no time zone"),
        (
            "totals --since yesterday",
            "--since: 'yesterday' is neither a time such as 2025-01-31T12:00:00Z nor a duration",
        ),
        ("totals --since 2025-02-01 --until 2025-01-01", "--until: must be later than --since"),
        ("list --since 1h --until 2h", "--until: must be later than --since"),
        ("list --sort amount", "--sort: 'amount' is not one of newest, oldest"),
        ("list --csv --json", "--csv and --json are two formats"),
        ("totals --csv --json", "--csv and --json are two formats"),
        ("review list --csv --json", "--csv and --json are two formats"),
        ("review list --reason because", "--reason: 'because' is not one of amount_differs, "),
        ("list --since 5", "--since: '5' is neither a time"),
        ("list --since 99999999d", "--since: '99999999d' is neither a time"),
    ],
)
def test_mistakes_say_what_to_write(cli: Cli, kept: list[Payment], words: str, says: str) -> None:
    """Exit code 2, nothing on stdout, and the option in the error."""
    ran = cli(*words.split())
    assert (ran.code, ran.out) == (2, ""), ran
    assert says in ran.err


def test_how_long_ago() -> None:
    """A duration is as long before now, a date without a zone in the zone given."""
    assert moment_of("--since", "1h30m", NOW) == NOW - timedelta(minutes=90)
    assert moment_of("--since", "2025-01-31", NOW, timezone(timedelta(hours=8))).hour == 16
    assert moment_of("--since", "20250131", NOW) == datetime(2025, 1, 31, tzinfo=UTC)
    assert moment_of("--since", "2025-01-31T00:00+08:00", NOW) == datetime(2025, 1, 30, 16, tzinfo=UTC)


def test_reviews_by_reason(cli: Cli, kept: list[Payment]) -> None:
    """The reasons of each, of one reason as it is printed, and as CSV."""
    assert "paid twice" in cli("review", "list").out
    assert references(cli("review", "list", "--reason", "paid twice", "--csv")) == ["b-4"]
    assert cli("review", "list", "--reason", "charged_back").err == "no payments\n"


def test_the_list_shows_the_time_it_is_ordered_by(cli: Cli, kept: list[Payment]) -> None:
    """When it was paid, in a list by that; and that a refund is not through."""
    lines = cli("list", "--by", "paid").out.splitlines()
    assert "PAID" in lines[0]
    assert f"{kept[4].paid_at:%Y-%m-%d %H:%M:%S} UTC" in lines[1]
    assert "refunding" in lines[2]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("with_disputes", [False, True])
def test_totals_fit_the_window(columns: int, *, with_disputes: bool) -> None:
    """One line each: a narrow window goes without what was to be paid, then without what was won back."""
    by: tuple[TotalsBy, ...] = ("day", "account", "status", "currency")
    totals = [
        Totals(
            day=NOW.date(), account="hongkong", status=Status.AUTHORIZED, currency="HKD", exponent=2,
            count=12345, amount_minor=123456789, paid_minor=123456789, refunded_minor=123456,
            charged_back_minor=123456 * with_disputes, charge_back_won_minor=int(with_disputes),
        )
    ]  # fmt: skip
    lines = totals_table(totals, by, Style(enabled=False), columns)
    assert max(map(width, lines)) <= columns
    assert ("AMOUNT" in lines[0]) is (columns == 120 or not with_disputes)
    assert ("CHARGED BACK" in lines[0]) is with_disputes
    assert ("WON BACK" in lines[0]) is (with_disputes and columns == 120)
    assert "1234567.89" in lines[1]


def test_payments_in_every_state_are_listed(cli: Cli) -> None:
    """Payments in any state are rows of every format."""
    random = Random(2)
    Path("paycore.toml").write_text(CONFIG, encoding="utf-8")
    dsn = f"sqlite:///{Path.cwd() / 'paycore.db'}"
    with closing(open_ledger(dsn)) as ledger:
        store(dsn, (row(made(random, n)) for n in range(100)))
        count = len(ledger.list(Filter(limit=1000)).result())
    for more in ((), ("--csv",)):
        assert cli("list", "--limit", "0", *more).out.count("\n") == count + 1


def questions() -> list[str]:
    """The commands of the page's table."""
    table = DOCS.read_text(encoding="utf-8").partition("| Question | Command |")[2].partition("\n\n")[0]
    return re.findall(r"\| `paycore ([^`]+)` \|", table)


@pytest.mark.parametrize("words", questions())
def test_the_questions_of_the_page_are_answered(cli: Cli, kept: list[Payment], words: str) -> None:
    """Each command of the table runs without a provider or its keys."""
    arguments = words.partition(" >")[0].replace("order-1001", "a-0").split()
    ran = cli(*arguments)
    assert ran.code == 0, ran


def test_the_table_of_questions_is_found() -> None:
    """The test above tests something."""
    assert len(questions()) > 8
