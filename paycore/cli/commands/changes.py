"""`changes`: what changed, for a consumer that acknowledges what was printed; and how far behind each consumer is."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.lookup import open_client, open_records
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.domain.changes import ChangeKind
from paycore.errors import LedgerMissing

if TYPE_CHECKING:
    from types import FrameType

    from paycore.domain.changes import PaymentChange
    from paycore.ledger.api import Consumer


def changes(
    context: typer.Context,
    *,
    consumer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who reads: a name of your own, made when it is first used."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C or SIGTERM.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help=f"May be repeated; one of {', '.join(ChangeKind)}."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin a new consumer at the first payment, not now.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the consumer; used again, it is a new one.")
    ] = False,
    show_consumers: Annotated[
        bool, typer.Option("--list", help="Print the consumers, and how far behind each is.")
    ] = False,
) -> int:
    """
    Print what changed since this consumer last read, one change a line.

    Each printed change is acknowledged, and not printed again for this consumer; one that can't be written is. One
    process at a time reads for a consumer.
    """
    options = options_of(context)
    if show_consumers:
        if consumer is not None or follow or kind or from_start or forget:
            raise UsageProblem("--list takes no --consumer, --follow, --kind, --from-start or --forget")
        return _list(options)
    if consumer is None:
        raise UsageProblem("name who reads with --consumer, or print the consumers with --list")
    output = Output(options)
    if forget:
        if follow or kind or from_start:
            raise UsageProblem("--forget takes no --follow, --kind or --from-start")
        with open_client(options, output) as pay:
            pay.forget_consumer(consumer)
        output.say(f"consumer {consumer} is forgotten")
        return Exit.DONE
    kinds = _kinds(kind)
    with on_ctrl_c("what was printed is acknowledged"), open_client(options, output) as pay, _on_sigterm():
        for change in pay.changes(consumer, kinds=kinds, from_start=from_start, follow=follow):
            if not _print(change, output):
                break
    return Exit.DONE


def _kinds(words: list[str] | None) -> tuple[ChangeKind, ...] | None:
    for word in words or ():
        if word not in list(ChangeKind):
            raise UsageProblem(f"--kind: {word!r} is not one of {', '.join(ChangeKind)}")
    return tuple(ChangeKind(word) for word in words) if words else None


@contextmanager
def _on_sigterm() -> Iterator[None]:
    """End by SIGTERM as by an exception, so that another process goes on at once."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(Exit.DONE)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(change: PaymentChange, output: Output) -> bool:
    """Print a change; return False once nobody reads any more."""
    from paycore.cli.render.documents import change_document
    from paycore.cli.render.text import clean, moment

    if output.options.json:
        return output.json(change_document(change))
    payment = change.payment
    what = change.kind.value.replace("_", " ")
    about = f" (refund {clean(change.refund)})" if change.refund is not None else ""
    return output.data(
        f"{moment(change.at)}  {payment.id}  {clean(payment.reference)}  {payment.amount}  {what}{about}"
    )


def _list(options: GlobalOptions) -> int:
    from paycore.cli.render.documents import consumer_document
    from paycore.cli.render.text import moment

    def row(found: Consumer) -> list[str]:
        oldest = "-" if found.oldest_at is None else moment(found.oldest_at)
        last = "-" if found.acknowledged_at is None else moment(found.acknowledged_at)
        return [found.name, str(found.behind), oldest, last]

    output = Output(options)
    consumers: Sequence[Consumer] = ()
    try:
        with open_records(options) as ledger:
            consumers = ledger.consumers().result()
    except LedgerMissing as missing:
        output.say(missing.message)
    else:
        output.say("" if consumers else "no consumers yet: --consumer NAME makes one")
    output.rows(
        ["CONSUMER", "BEHIND", "OLDEST LEFT", "LAST ACKNOWLEDGED"],
        [row(found) for found in consumers],
        [consumer_document(found) for found in consumers],
    )
    return Exit.DONE
