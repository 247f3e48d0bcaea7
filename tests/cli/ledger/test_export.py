"""`paycore ledger export`: writes everything, as a whole file or not at all."""

import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from paycore import Status
from paycore.cli.atomic_file import whole_file
from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions
from paycore.cli.output import LINES_AT_ONCE, Output
from paycore.domain.events import GENESIS
from paycore.ledger.base import SqlLedger
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, order
from tests.cli.ledger.ledgers import files, lines, one_line, whole_life
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, notice, seen


def test_export_is_everything_and_can_be_checked(cli: Cli, database: Database) -> None:
    """One JSON object a line: payments with their events, then notifications; the hashes hold from the lines alone."""
    ledger = database.open()
    ids = [whole_life(ledger, f"bestellung-{name}") for name in ("tee", "茶", "🍵")]
    observation = seen(ledger.get(ids[0]).result().order_number, Status.PAID)
    ledger.record_notification("hk", notice(b"paid", ledger.now()), [observation], is_evidence=True).result()
    ran = cli("ledger", "export")
    assert (ran.code, ran.err) == (0, ""), ran
    records = lines(ran)
    assert [r["type"] for r in records] == (["payment"] + ["event"] * 5) * 3 + ["notification"]
    assert sorted(r["id"] for r in records if r["type"] == "payment") == sorted(ids)
    assert "bestellung-🍵" in {r["payment"]["order"]["reference"] for r in records if r["type"] == "payment"}
    for line in ran.out.splitlines():
        _check_hash(line)


def _check_hash(line: str) -> None:
    """Check a hash as docs/ledger.md describes it, without paycore's code."""
    event = json.loads(line)
    if event["type"] == "event":
        change = line.partition('"change":')[2].rpartition(',"prev_hash":')[0]
        fields = (event["payment_id"], event["seq"], event["at"], event["source"])
        head = "".join(f"{field}\n" for field in fields)
        digest = hashlib.sha256(bytes.fromhex(event["prev_hash"]) + head.encode() + change.encode())
        assert digest.hexdigest() == event["hash"]
        assert event["seq"] > 1 or event["prev_hash"] == GENESIS.hex()


def test_export_holds_no_secret(cli: Cli, shop: SandboxServer) -> None:
    """An export holds neither keys nor scanned codes."""
    from qfpay_alipay.sandbox.sandbox_settings import CLIENT_KEY

    code = "280000000000001143"
    assert cli(*order("scanned")[:-1], "barcode", "--auth-code", code).code == 0
    shop.gateway.faults.add("lose_reply")
    assert cli(*order("lost")).code == 5
    out = cli("ledger", "export").out
    assert '"scanned"' in out
    assert CLIENT_KEY not in out
    assert code not in out


def test_export_to_a_file_is_whole_and_private(cli: Cli, ledger: SqlLedger) -> None:
    """`--output` writes the same bytes into a file that only its owner can read, and leaves nothing beside it."""
    for n in range(3):
        whole_life(ledger, f"order-{n}")
    before = files()
    ran = cli("ledger", "export", "--output", "out.jsonl")
    assert (ran.code, ran.out, ran.err) == (
        (0, "", "wrote out.jsonl: 3 payments, 15 events, 0 notifications\n")
    )
    assert Path("out.jsonl").read_text(encoding="utf-8") == cli("ledger", "export").out
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    assert files() == before | {"out.jsonl"}
    told = cli("ledger", "export", "--output", "other.jsonl", "--json")
    assert told.json == {"file": "other.jsonl", "payments": 3, "events": 15, "notifications": 0}
    assert cli("ledger", "export", "--output", "-").out == cli("ledger", "export").out


def test_export_overwrites_only_with_the_option(cli: Cli, ledger: SqlLedger) -> None:
    """An existing file is kept; --overwrite replaces it atomically, also through a link, and keeps it private."""
    whole_life(ledger, "order-1")
    Path("out.jsonl").write_text("mine")
    one_line(cli("ledger", "export", "--output", "out.jsonl"), "out.jsonl", "--overwrite", code=2)
    assert Path("out.jsonl").read_text() == "mine"
    Path("link.jsonl").symlink_to("out.jsonl")
    assert cli("ledger", "export", "--output", "link.jsonl", "--overwrite").code == 0
    assert Path("link.jsonl").is_symlink()
    assert Path("out.jsonl").read_text() == cli("ledger", "export").out
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    one_line(cli("ledger", "export", "--overwrite"), "--output", code=2)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("paycore.db", "is a database"),
        ("/dev/null", "is not a file"),
        (".", "is not a file"),
        ("no/where", "No such"),
    ],
)
def test_export_refuses_what_it_must_not_replace(cli: Cli, ledger: SqlLedger, file: str, words: str) -> None:
    """The ledger itself, devices and folders are never replaced, whatever the options say."""
    payment_id = whole_life(ledger, "order-1")
    one_line(cli("ledger", "export", "--output", file, "--overwrite"), file, words, code=2)
    assert cli("ledger", "verify", payment_id).code == 0
    assert Path("/dev/null").is_char_device()


def test_export_on_a_full_disk_leaves_no_file(cli: Cli, ledger: SqlLedger) -> None:
    """A full disk: one line, exit 2, no partial export, and the old file unchanged."""
    for n in range(40):
        whole_life(ledger, f"order-{n}")
    Path("out.jsonl").write_text("the last one")
    before = files()
    words = f"ulimit -f 100; {PAYCORE} ledger export --output out.jsonl --overwrite"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert "out.jsonl can't be written" in done.stderr
    assert Path("out.jsonl").read_text() == "the last one"
    assert files() - before <= {"paycore.db-wal", "paycore.db-shm"}
    full = subprocess.run(
        ["bash", "-c", f"{PAYCORE} ledger export > /dev/full"], capture_output=True, text=True, check=False
    )
    assert (full.returncode, full.stderr.count("\n"), "No space" in full.stderr) == (2, 1, True), full


def test_whole_file_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """An incomplete file never has the final name; when writing fails nothing of it is left."""

    def write_half() -> None:
        with whole_file("--output", "new", overwrite=False) as file:
            file.write(b"half")
            (hidden,) = files()
            assert (hidden.startswith(".new."), stat.S_IMODE(Path(hidden).stat().st_mode)) == (True, 0o600)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert files() == set()
    with pytest.raises(UsageProblem, match=r"--output: no/new can't be written"):
        whole_file("--output", "no/new", overwrite=False).__enter__()


def test_export_ends_when_its_reader_closes_the_pipe(ledger: SqlLedger) -> None:
    """`| head` prints no traceback, keeps the exit code, and ends the reading."""
    for future in [ledger.begin(*begun(f"order-{n}")) for n in range(2000)]:
        future.result()
    words = f"({PAYCORE} ledger export; echo $? >&2) | head -1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.stdout.count("\n"), done.stderr) == (1, "0\n"), done


def test_export_reads_no_further_than_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once stdout is closed the export reads no more records."""
    reading, writing = os.pipe()
    os.close(reading)
    lines = (f"line {n}" for n in itertools.count())
    with open(writing, "w", encoding="utf-8") as nobody:  # noqa: PTH123 - a descriptor, not a path
        monkeypatch.setattr(sys, "stdout", nobody)
        Output(GlobalOptions()).stream(lines)
        monkeypatch.undo()
    assert next(lines) == f"line {LINES_AT_ONCE}"


def test_export_is_utf_8_in_any_locale(cli: Cli, ledger: SqlLedger) -> None:
    """JSON is UTF-8 also in an ASCII locale; messages replace characters that the locale lacks."""
    whole_life(ledger, "茶")
    assert '"茶"' in cli.installed("ledger", "export", PYTHONIOENCODING="ascii").out
    assert '"茶"' in cli.installed("show", "--reference", "茶", "--json", PYTHONIOENCODING="ascii").out
    ran = cli.installed("show", "--reference", "茶", PYTHONIOENCODING="ascii")
    assert (ran.code, "reference    ?" in ran.out, ran.err) == (0, True, ""), ran
