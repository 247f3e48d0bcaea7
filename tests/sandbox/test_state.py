"""The state file."""

from pathlib import Path

import msgspec
import pytest

from paycore.sandbox.state import StateFile, records


def values(path: Path) -> dict[str, object]:
    file = StateFile(path, name="p")
    found = {key: msgspec.json.decode(raw) for key, raw in file.values().items()}
    file.close()
    return found


def filled(path: Path) -> None:
    file = StateFile(path, name="p")
    file.put("order:1", {"n": 1})
    file.put("order:2", {"n": 2})
    file.put("order:1", {"n": 3})
    file.put("clock", 5)
    file.close()


def test_last_value_of_each_key_is_kept(tmp_path: Path) -> None:
    """Over two restarts; the folder is created."""
    path = tmp_path / "deep" / "state.jsonl"
    filled(path)
    expected = {"order:1": {"n": 3}, "order:2": {"n": 2}, "clock": 5}
    assert values(path) == expected
    assert values(path) == expected


def test_file_is_rewritten_short(tmp_path: Path) -> None:
    """Opening leaves one line per key, and no other files than the lock."""
    path = tmp_path / "state.jsonl"
    filled(path)
    assert len(path.read_bytes().splitlines()) == 5
    values(path)
    assert len(path.read_bytes().splitlines()) == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == [".state.jsonl.lock", "state.jsonl"]


@pytest.mark.parametrize("torn", [b'{"key":"order:1","va', b"x"])
def test_line_cut_short_is_dropped(tmp_path: Path, torn: bytes) -> None:
    """A half-written last line was never answered, and is removed."""
    path = tmp_path / "state.jsonl"
    filled(path)
    with path.open("ab") as file:
        file.write(torn)
    assert values(path)["order:1"] == {"n": 3}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"paycore_sandbox":"q","version":1}\n', "belongs to sandbox q"),
        (b'{"paycore_sandbox":"p","version":2}\n', "version 2"),
        (b"hello\n", "not a sandbox state file"),
        (b'{"paycore_sandbox":"p","version":1}\nbroken\n{"key":"a","value":1}\n', "not a sandbox state file"),
    ],
)
def test_file_that_is_not_ours_is_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    """Another provider's, a newer, another or a broken file is refused, unchanged."""
    path = tmp_path / "state.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        StateFile(path, name="p")
    assert path.read_bytes() == content


def test_file_in_use_is_refused(tmp_path: Path) -> None:
    """Two sandboxes on one file would lose each other's orders."""
    path = tmp_path / "state.jsonl"
    first = StateFile(path, name="p")
    with pytest.raises(ValueError, match="in use"):
        StateFile(path, name="p")
    first.close()
    StateFile(path, name="p").close()


def test_no_file_remembers_nothing(tmp_path: Path) -> None:
    """`None` keeps nothing, and a put after closing is ignored."""
    nowhere = StateFile(None, name="p")
    nowhere.put("a", 1)
    assert nowhere.values() == {}
    path = tmp_path / "state.jsonl"
    file = StateFile(path, name="p")
    file.close()
    file.put("a", 1)
    assert values(path) == {}


def test_records_by_prefix(tmp_path: Path) -> None:
    """Only those whose key has the prefix."""
    path = tmp_path / "state.jsonl"
    filled(path)
    file = StateFile(path, name="p")
    assert [msgspec.json.decode(raw) for raw in records(file.values(), "order:")] == [{"n": 3}, {"n": 2}]
    file.close()
