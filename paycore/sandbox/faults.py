"""The fault board: which faults apply to the next requests, how often and on which paths."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Mapping

import msgspec

Option = bool | float | int | str


class FaultKind(msgspec.Struct, frozen=True, kw_only=True):
    """
    A kind of fault with its options and their defaults; an option has the type of its default.

    `choices` are the values an option may have, where they are a closed list.
    """

    name: str
    help: str
    options: Mapping[str, Option] = {}
    choices: Mapping[str, tuple[str, ...]] = {}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """
    A fault on the board.

    `times` is how often it still applies. `path` limits it to one request path; `None` means every path.
    """

    id: int
    kind: str
    times: int
    path: str | None
    options: Mapping[str, Option]

    def flag(self, name: str) -> bool:
        return bool(self.options[name])

    def number(self, name: str) -> float:
        return float(self.options[name])

    def text(self, name: str) -> str:
        return str(self.options[name])


class FaultBoard:
    """Faults in the order they were added. All methods are thread-safe."""

    def __init__(self, kinds: Iterable[FaultKind]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._last_id = 0

    def add(self, kind: str, *, times: int = 1, path: str | None = None, **options: Option) -> Fault:
        """
        Apply `kind` to the next `times` requests.

        `ValueError` for an unknown kind or option, with the nearest known name, and for a value of the wrong type.
        """
        known = self.kinds.get(kind)
        if known is None:
            raise ValueError(unknown_name("fault", kind, self.kinds))
        if times < 1:
            raise ValueError(f"times must be 1 or more, not {times}")
        checked = dict(known.options)
        for name, value in options.items():
            checked[name] = _checked(known, name, value)
        with self._lock:
            self._last_id += 1
            fault = Fault(id=self._last_id, kind=kind, times=times, path=path, options=checked)
            self._faults.append(fault)
        return fault

    def take(self, *kinds: str, path: str | None = None) -> Fault | None:
        """The first fault of these kinds that applies to `path`, used up once; `None` when there is none."""
        if not self._faults:
            return None
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.kind in kinds and fault.path in (None, path):
                    self._count_down(index, fault)
                    return fault
        return None

    def active(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def _count_down(self, index: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._faults[index]
        else:
            self._faults[index] = msgspec.structs.replace(fault, times=fault.times - 1)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """The words of an error about a name that is not known: the nearest one, or all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    return f"no {what} {name!r}; {hint}"


def _checked(kind: FaultKind, name: str, value: Option) -> Option:
    if name not in kind.options:
        raise ValueError(unknown_name(f"option of {kind.name}", name, kind.options))
    default = kind.options[name]
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, str):
        # A command line can't distinguish the code 1265 from the number.
        value = str(value) if isinstance(value, int | float) else value
        fits = isinstance(value, str)
    else:
        fits = isinstance(value, (int, float)) and value >= 0
    if not fits:
        raise ValueError(f"option {name} of {kind.name} is like {default!r}, not {value!r}")
    if name in kind.choices and value not in kind.choices[name]:
        raise ValueError(unknown_name(f"{name} of {kind.name}", str(value), kind.choices[name]))
    return value
