"""What Ctrl-C says, where there is more to say than that it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paycore.cli.endings import Interrupted
from paycore.errors import NotFound, PaycoreError


@contextmanager
def ctrl_c_says(words: str) -> Iterator[None]:
    """Ctrl-C in the block ends the command with these words; nothing can have moved."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {words}") from None


@contextmanager
def ctrl_c_names_payment(find: Callable[[], str], tell: Callable[[str], str]) -> Iterator[None]:
    """
    Ctrl-C in the block ends the command with the payment it concerns: a provider may be being asked.

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
