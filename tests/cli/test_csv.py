"""CSV that spreadsheets and line-reading tools take as it is meant."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output, check_format
from paycore.cli.render.csv_lines import Cell, csv_lines
from paycore.domain.payment import Status


def written(*cells: Cell) -> str:
    """The line of a row."""
    _, line = csv_lines(["x"] * len(cells), [cells])
    return line


def test_cells_of_each_kind() -> None:
    """Numbers are plain, times in UTC, statuses words, None nothing; commas and quotes stay in their cell."""
    at = datetime(2026, 1, 31, 20, tzinfo=timezone(timedelta(hours=8)))
    row = ("a,b", 'say "hi"', 8800, -5, "88.00", None, True, False, at, Status.PAID, "")
    line = written(*row)
    assert line == ('"a,b","say ""hi""",8800,-5,88.00,,true,false,2026-01-31T12:00:00.000Z,paid,')
    assert next(csv.reader(io.StringIO(line)))[:2] == ["a,b", 'say "hi"']


@pytest.mark.parametrize(
    "text", ["=1+1", "+852 1234", "-x", "-1+2", "@SUM(A1)", " =1", "\t=1", "\r\n@x", "\uff1d1", "-", "+5"]
)
def test_a_text_is_never_a_formula(text: str) -> None:
    """Whatever a spreadsheet takes for a formula begins with an apostrophe, also after spaces."""
    assert written(text).startswith("'"), text


@pytest.mark.parametrize("text", ["order-1", "a=b", "-5.00", "-5", "0.50", "'x", "", "1e5", "88.00 HKD"])
def test_other_texts_are_as_they_were(text: str) -> None:
    """What is no formula is not changed; a negative amount is a number."""
    assert written(text, "end") == f"{text},end"


def test_a_record_is_one_line() -> None:
    """Line breaks and escape sequences in a text end no record and reach no terminal."""
    line = written("a\nb\x1b[31m\u202e", "c\r\nd", "\u2028")
    assert line.isprintable()
    assert line.startswith("a b [31m")


def test_output_reads_rows_as_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows may be a generator; the header is there without any."""
    output = Output(GlobalOptions())
    output.csv(["ID", "AMOUNT"], ((str(n), n) for n in range(600)))
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("ID,AMOUNT", "599,599", 601)
    output.csv(["ID"], [])
    assert capsys.readouterr().out == "ID\n"


def test_one_format_at_a_time() -> None:
    """CSV and JSON at once are refused; either alone is not."""
    with pytest.raises(UsageProblem, match="--csv and --json"):
        check_format(GlobalOptions(json=True), csv=True)
    check_format(GlobalOptions(json=True), csv=False)
    check_format(GlobalOptions(), csv=True)


def test_zones_do_not_matter() -> None:
    """The same moment is the same text in whatever zone it was given."""
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert written(at) == written(at.astimezone(timezone(timedelta(hours=-5))))
