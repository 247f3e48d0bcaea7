"""The fault board."""

import threading

import pytest

from paycore.sandbox.faults import FaultBoard, FaultKind

KINDS = [
    FaultKind(name="lose_reply", help=""),
    FaultKind(name="delay", help="", options={"seconds": 1.0}),
    FaultKind(name="stall", help="", options={"recorded": True, "note": "x"}),
]


@pytest.fixture
def board() -> FaultBoard:
    return FaultBoard(KINDS)


def test_fault_applies_as_often_as_asked(board: FaultBoard) -> None:
    """Once by default, else `times` times; then the board is empty."""
    board.add("lose_reply")
    board.add("lose_reply", times=2)
    assert [board.take("lose_reply") is not None for _ in range(4)] == [True, True, True, False]
    assert board.active() == []


def test_fault_applies_to_its_path_and_kind(board: FaultBoard) -> None:
    """Only to its path, or to any without one; other kinds are not affected."""
    board.add("lose_reply", path="/a")
    assert board.take("lose_reply", path="/b") is None
    assert board.take("delay", "stall", path="/a") is None
    assert board.take("delay", "lose_reply", path="/a") is not None
    board.add("lose_reply")
    assert board.take("lose_reply", path="/b") is not None


def test_faults_apply_first_come_first(board: FaultBoard) -> None:
    """In the order of adding, over several kinds."""
    board.add("stall")
    board.add("delay")
    kinds = [fault.kind for fault in (board.take("delay", "stall"), board.take("delay", "stall")) if fault]
    assert kinds == ["stall", "delay"]


def test_options_have_defaults_and_types(board: FaultBoard) -> None:
    """Unset options have defaults; an int is accepted as a float, a number as a text."""
    assert board.add("delay").number("seconds") == 1.0
    assert board.add("delay", seconds=3).number("seconds") == 3.0
    fault = board.add("stall", recorded=False, note="y")
    assert (fault.flag("recorded"), fault.text("note")) == (False, "y")
    assert board.add("stall", note=1265).text("note") == "1265"
    assert board.add("stall", note=88.5).text("note") == "88.5"


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("lose_replies", {}, "did you mean lose_reply"),
        ("zzz", {}, "there are: delay, lose_reply, stall"),
        ("delay", {"second": 1}, "did you mean seconds"),
        ("delay", {"seconds": "1"}, "like 1.0"),
        ("delay", {"seconds": True}, "like 1.0"),
        ("delay", {"seconds": -1}, "like 1.0"),
        ("stall", {"recorded": 1}, "like True"),
        ("stall", {"note": True}, "like 'x'"),
        ("stall", {"times": 0}, "times must be 1 or more"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(
    board: FaultBoard, kind: str, options: dict[str, object], words: str
) -> None:
    """The error has the nearest known name, or the default for a wrong value."""
    with pytest.raises(ValueError, match=words):
        board.add(kind, **options)  # type: ignore[arg-type]
    assert board.active() == []


def test_fault_is_taken_once_by_many_threads(board: FaultBoard) -> None:
    """A hundred threads, fifty faults: fifty threads get one each."""
    board.add("lose_reply", times=50)
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(board.take("lose_reply") is not None))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 50
