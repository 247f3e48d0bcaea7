"""Errors keep everything they carry through pickling, copying and process pools."""

import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from paycore import errors
from paycore.errors import PaycoreError

PARTICULAR: dict[str, dict[str, Any]] = {
    "AccountRefused": {"message": "account hk: refused", "code": "1108"},
    "PluginError": {"message": "KeyError in acme, line 12", "plugin": "acme", "stage": "flow"},
    "InvalidField": {"field": "subject", "problem": "65 characters; at most 64"},
    "InvalidMoney": {"problem": "88.001 has more decimals than HKD"},
    "ReferenceAmbiguous": {"reference": "order-1001", "accounts": ("hk", "cn")},
    "ConsumerTaken": {"consumer": "shop"},
    "ReferenceConflict": {"reference": "order-1001", "field": "amount"},
}
"""The arguments of errors that take more than a message."""


class PluginsOwn(errors.InvalidField):
    """A third party's error, with its own constructor, slot and message."""

    __slots__ = ("most",)

    def __init__(self, *, field: str, most: int) -> None:
        super().__init__(field, f"at most {most}")
        self.most = most

    def __str__(self) -> str:
        return f"{self.field} is not to exceed {self.most}"


def tree(kind: type[PaycoreError]) -> Iterator[type[PaycoreError]]:
    """The classes of `paycore.errors`, parents before children."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def every_error() -> Iterator[PaycoreError]:
    """One instance of each class in the tree, with notes and attributes added."""
    for kind in tree(PaycoreError):
        yield seasoned(kind(**PARTICULAR.get(kind.__name__, {"message": "words"})))
    yield seasoned(PluginsOwn(field="device_id", most=12))


def seasoned(error: PaycoreError) -> PaycoreError:
    """Add the notes and attributes that callers may add."""
    error.payment_id = "01JD0000000000000000000000"
    error.money_moved = "maybe"
    error.add_note("the till was told")
    error.where = "till 3"  # type: ignore[attr-defined]
    return error


def said(error: BaseException) -> dict[str, Any]:
    """Everything an error carries."""
    slots = {name: getattr(error, name) for name in getattr(type(error), "__slots__", ())}
    return {"type": type(error), "args": error.args, "words": str(error), **vars(error), **slots}


def raised(error: PaycoreError) -> None:
    """Raise the error in another process."""
    raise error


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_error_survives_pickle_and_copy(error: PaycoreError) -> None:
    """Its class, message, fields, notes and added attributes, by every protocol and both kinds of copy."""
    twins = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (*twins, copy.copy(error), copy.deepcopy(error)):
        assert said(twin) == said(error)
        assert twin is not error


def test_copy_shares_nothing_that_is_added_later() -> None:
    """Attributes set on a copy are not set on the original."""
    error = errors.NotSent("nothing was sent")
    twin = copy.copy(error)
    twin.payment_id = "01JD"
    assert error.payment_id is None


def test_errors_come_out_of_a_process_pool_and_leave_it_whole() -> None:
    """An error raised in a worker process is raised where its result is asked for; the next task runs."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for error in every_error():
            came = pool.submit(raised, error).exception(timeout=60)
            assert isinstance(came, PaycoreError)
            assert said(came) == said(error)
        assert pool.submit(len, "still there").result(timeout=60) == 11
