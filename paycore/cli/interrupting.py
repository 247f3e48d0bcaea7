"""Ctrl-C while a provider may be being asked: which payment it concerns, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paycore.cli.endings import Interrupted
from paycore.errors import NotFound, PaycoreError


@contextmanager
def interruptible(find: Callable[[], str], tell: Callable[[str], str]) -> Iterator[None]:
    """
    Ctrl-C in the block is an `Interrupted`.

    `find` gives the payment's id, or raises what looking it up raises; `tell` says how to go on with this id.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise _interrupted(find, tell) from None


def _interrupted(find: Callable[[], str], tell: Callable[[str], str]) -> Interrupted:
    try:
        payment_id = find()
    except NotFound:
        # What is sent is recorded first.
        return Interrupted("interrupted before anything was recorded or sent; run the same command again")
    except (PaycoreError, KeyboardInterrupt):
        return Interrupted(
            "interrupted; the ledger can't tell now whether anything was sent: run the same command again",
            money_moved="maybe",
        )
    return Interrupted(f"interrupted; {tell(payment_id)}", money_moved="maybe", payment_id=payment_id)
