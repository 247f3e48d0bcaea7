"""The fault board: which faults apply to the next requests, how often, on which paths and to which orders."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

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

    `times` is how often it still applies, `None` for as long as it is there. What limits it is `None` where anything
    will do: `path` is one request path, `on` what a request asks for (`create`, `query`, `capture`, `refund`, `close`),
    `order` the gateway's id of an order.
    """

    id: int
    kind: str
    times: int | None
    path: str | None
    options: Mapping[str, Option]
    on: str | None = None
    order: str | None = None

    def flag(self, name: str) -> bool:
        return bool(self.options[name])

    def number(self, name: str) -> float:
        return float(self.options[name])

    def text(self, name: str) -> str:
        return str(self.options[name])


class Occasion:
    """What a request, or a notification, is about: the orders, by the gateway's ids, and what is asked for."""

    def __init__(self, orders: Iterable[str] = (), asks: str = "") -> None:
        self.orders = set(orders)
        self.asks = asks


_OCCASION: ContextVar[Occasion] = ContextVar("occasion")
_NOTHING_KNOWN = Occasion()


@contextmanager
def occasion(orders: Iterable[str] = (), *, asks: str = "") -> Iterator[Occasion]:
    """In this block faults are taken that are for these orders, or for what is asked; others too."""
    found = Occasion(orders, asks)
    token = _OCCASION.set(found)
    try:
        yield found
    finally:
        _OCCASION.reset(token)


def add_to_occasion(order: str) -> None:
    """The request that is being carried out is about this order too: it has made it."""
    known = _OCCASION.get(None)
    if known is not None:
        known.orders.add(order)


class FaultBoard:
    """Faults in the order they were added. All methods are thread-safe."""

    def __init__(self, kinds: Iterable[FaultKind]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self._faults: list[Fault] = []
        self._of_orders: dict[str, list[Fault]] = {}
        self.requests: Collection[str] = ()
        """What the gateway's requests ask for; a fault may be for one of these."""
        self._lock = threading.Lock()
        self._last_id = 0

    @property
    def is_aimed(self) -> bool:
        """Whether a fault is for some orders only, or for what is asked: requests have to be looked into."""
        return bool(self._of_orders) or any(fault.on is not None for fault in self._faults)

    def add(
        self,
        kind: str,
        *,
        times: int | None = 1,
        path: str | None = None,
        on: str | None = None,
        order: str | None = None,
        **options: Option,
    ) -> Fault:
        """
        Apply `kind` to the next `times` requests, see `Fault`.

        `ValueError` for an unknown kind or option, with the nearest known name, and for a value of the wrong type.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, not {times}")
        checked = self.checked(kind, on=on, **options)
        with self._lock:
            self._last_id += 1
            fault = Fault(
                id=self._last_id, kind=kind, times=times, path=path, options=checked, on=on, order=order
            )
            self._shelf(fault.order).append(fault)
        return fault

    def checked(self, kind: str, *, on: str | None = None, **options: Option) -> dict[str, Option]:
        """All options of a fault with these; `ValueError` as in `add`."""
        if on is not None and on not in self.requests:
            raise ValueError(unknown_name("request here that asks for", on, self.requests))
        known = self.kinds.get(kind)
        if known is None:
            raise ValueError(unknown_name("fault", kind, self.kinds))
        return {**known.options, **{name: _checked(known, name, value) for name, value in options.items()}}

    def take(self, *kinds: str, path: str | None = None) -> Fault | None:
        """
        The first fault of these kinds that applies to `path`, used up once; `None` when there is none.

        One that is for an order, or for what is asked, applies in an `occasion` that says so.
        """
        if not self._faults and not self._of_orders:
            return None
        about = _OCCASION.get(_NOTHING_KNOWN)
        with self._lock:
            fits = [
                fault
                for shelf in (None, *about.orders)
                for fault in (self._faults if shelf is None else self._of_orders.get(shelf, ()))
                if fault.kind in kinds and fault.path in (None, path) and fault.on in (None, about.asks)
            ]
            if not fits:
                return None
            first = min(fits, key=lambda fault: fault.id)
            self._count_down(first)
            return first

    def active(self) -> list[Fault]:
        with self._lock:
            every = [*self._faults, *(fault for some in self._of_orders.values() for fault in some)]
        return sorted(every, key=lambda fault: fault.id)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self._of_orders.clear()

    def _shelf(self, order: str | None) -> list[Fault]:
        return self._faults if order is None else self._of_orders.setdefault(order, [])

    def _count_down(self, fault: Fault) -> None:
        if fault.times is None:
            return
        shelf = self._shelf(fault.order)
        place = shelf.index(fault)
        if fault.times > 1:
            shelf[place] = msgspec.structs.replace(fault, times=fault.times - 1)
            return
        del shelf[place]
        if not shelf and fault.order is not None:
            del self._of_orders[fault.order]


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """The words of an error about a name that is not known: the nearest one, or all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
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
