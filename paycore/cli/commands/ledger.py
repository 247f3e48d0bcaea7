"""`ledger verify`, `anchor`, `export`, `migrate`, `copy` and `backup`: work on the ledger without any provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from paycore.cli.app import PaymentId, Reference, options_of
from paycore.cli.atomic_file import whole_file
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.lookup import check_identity, clash, nobody, only, open_records
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.progress import Progress
from paycore.cli.render.text import count

if TYPE_CHECKING:
    from paycore.ledger.audit import Anchor, Verdict
    from paycore.ledger.opening import Migrated
    from paycore.ledger.reads import ReadOnlyLedger

T = TypeVar("T")

STDOUT = "-"


OutputFile = Annotated[
    str, typer.Option("--output", metavar="FILE", help="Write this file atomically; - is stdout.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")]

ANCHOR_MAX = 64 * 1024
"""How much of an anchor's file is read, in bytes."""


def verify(
    context: typer.Context,
    payment_id: PaymentId = None,
    *,
    reference: Reference = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with a file that `ledger anchor` wrote.")
    ] = None,
) -> int:
    """
    Check that what is stored follows from the events.

    Checks the whole ledger, or one payment. Prints the first difference of each payment and every difference of the
    ledger itself; exits 9 if there are any. Only reads.
    """
    options = options_of(context)
    output = Output(options)
    known = None if anchor is None else _read_anchor(anchor, payment_id, reference)
    tally = Counter(payments=0, events=0, differences=0)
    with (
        open_records(options) as ledger,
        on_ctrl_c("nothing was changed"),
        Progress(output) as progress,
    ):
        for verdict in _verdicts(ledger, options, payment_id, reference, known):
            tally.update(payments=verdict.payment_id is not None, events=verdict.events)
            if verdict.difference is not None:
                tally.update(differences=1)
                output.difference(verdict)
            progress.show(lambda: f"verified {_counts(tally, 'payment', 'event')}")
    _print_summary(output, tally)
    return Exit.REVIEW if tally["differences"] else Exit.DONE


def anchor(context: typer.Context, *, output: OutputFile = STDOUT, overwrite: Overwrite = False) -> int:
    """
    Write a digest of all events, to keep outside the ledger.

    `ledger verify --anchor FILE` later shows events that were lost, added, moved or changed since. Only reads.
    """
    from paycore.ledger.audit import make_anchor, render_anchor

    options = options_of(context)
    _refuse_account(options)
    _check_overwrite(output, overwrite=overwrite)
    with open_records(options) as ledger, on_ctrl_c("no anchor was written"):
        made = make_anchor(ledger)
        if output == STDOUT:
            Output(options).data(render_anchor(made))
            return Exit.DONE
        with whole_file("--output", output, overwrite=overwrite) as file:
            file.write(f"{render_anchor(made)}\n".encode())
    told = Output(options)
    if options.json:
        told.json({"file": output, "events": made.events, "notifications": made.notifications})
    told.say(f"wrote {output}: {count(made.events, 'event')}, {count(made.notifications, 'notification')}")
    return Exit.DONE


def export(context: typer.Context, *, output: OutputFile = STDOUT, overwrite: Overwrite = False) -> int:
    """
    Export the whole ledger as JSON Lines.

    Each payment with its events, then the notifications. Contains any personal data in the ledger. Only reads.
    """
    options = options_of(context)
    _refuse_account(options)
    _check_overwrite(output, overwrite=overwrite)
    with open_records(options) as ledger:
        if output != STDOUT:
            return _export_to_file(ledger, Output(options), output, overwrite=overwrite)
        from paycore.ledger.audit import export as export_lines

        with on_ctrl_c("the export is not whole"):
            Output(options).stream(export_lines(ledger))
    return Exit.DONE


def migrate(context: typer.Context) -> int:
    """
    Create the ledger, or upgrade its schema to this version.

    Never downgrades: a ledger that a newer paycore upgraded is refused.
    """
    from paycore.engine.config import load_config
    from paycore.ledger.opening import migrate as migrate_ledger
    from paycore.ledger.upgrading import advice

    options = options_of(context)
    output = Output(options)
    output.show_log()
    migrated = migrate_ledger(load_config(options.config).ledger)
    if options.json:
        output.json(
            {
                "ledger": migrated.name,
                "from": migrated.before or None,
                "to": migrated.after,
                "namespaces": migrated.namespaces,
            }
        )
    else:
        output.data(_told(migrated))
    if migrated.before == migrated.after:  # an upgrade logs the same advice itself
        for account, payments in migrated.namespaces.items():
            output.warn(advice(account, payments))
    return Exit.DONE


def copy(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The ledger's address, as in the configuration.")
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An empty ledger's, created if need be.")],
) -> int:
    """
    Copy a whole ledger into an empty one, such as from SQLite to PostgreSQL.

    The copy is verified before it is committed; until then TARGET stays empty. End every process that uses SOURCE
    first: what it records meanwhile is not copied.
    """
    from paycore.ledger.copying import copy_ledger

    options = options_of(context)
    _refuse_account(options)
    output = Output(options)
    with on_ctrl_c("the target is empty, or whole if it was just being committed"):
        copied = _with_progress(output, lambda told: copy_ledger(source, target, progress=told))
    tally = {"payments": copied.payments, "events": copied.events, "notifications": copied.notifications}
    if options.json:
        output.json(
            {"source": copied.source, "target": copied.target, **tally, "missed_events": copied.missed}
        )
    else:
        counts = _counts(Counter(tally), "payment", "event", "notification")
        output.data(f"copied {copied.source} to {copied.target}, and verified it: {counts}")
    if copied.missed:
        output.warn(
            f"the copy lacks {count(copied.missed, 'event')} that came to {copied.source} meanwhile: end what uses it,"
            " and copy it again into an empty ledger"
        )
    return Exit.DONE


def backup(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="FILE", help="A new file; it can be a ledger itself.")],
) -> int:
    """
    Back the ledger up into a new SQLite file, while others use it.

    The file is whole and checked, or not there. Exits 9 when it has differences, as `ledger verify` does.
    """
    from paycore.engine.config import load_config
    from paycore.ledger.backup import back_up

    options = options_of(context)
    _refuse_account(options)
    output = Output(options)
    dsn = load_config(options.config).ledger
    with on_ctrl_c(f"{target} was not written"):
        made = _with_progress(output, lambda told: back_up(dsn, target, progress=told))
    if options.json:
        output.json(
            {
                "file": made.file,
                "payments": made.payments,
                "events": made.events,
                "differences": made.differences,
            }
        )
    tally = _counts(Counter(payments=made.payments, events=made.events), "payment", "event")
    output.say(f"wrote {target}: {tally}")
    if made.differences is None:
        output.warn("this version can't verify a ledger of another schema; the file is not damaged")
    elif made.differences:
        output.warn(
            f"it has {count(made.differences, 'difference')}, as the ledger has: see `paycore ledger verify`"
        )
    return Exit.REVIEW if made.differences else Exit.DONE


def _with_progress(output: Output, work: Callable[[Callable[[str, int], None]], T]) -> T:
    with Progress(output) as progress:
        return work(lambda what, rows: progress.show(lambda: f"{what}: {rows}"))


# --- verify ------------------------------------------------------------------------------------------


def _verdicts(
    ledger: ReadOnlyLedger,
    options: GlobalOptions,
    payment_id: str | None,
    reference: str | None,
    anchor: Anchor | None,
) -> Iterable[Verdict]:
    from paycore.errors import NotFound
    from paycore.ledger.audit import verify as verify_all
    from paycore.ledger.audit import verify_payment

    if payment_id is None and reference is None:
        _refuse_account(options)
        return verify_all(ledger, anchor)
    check_identity(payment_id, reference)
    try:
        return [verify_payment(ledger, _id_of(ledger, options, payment_id, reference))]
    except NotFound as error:
        raise error if payment_id is None else nobody(payment_id, options) from None


def _read_anchor(name: str, payment_id: str | None, reference: str | None) -> Anchor:
    from paycore.errors import InvalidField
    from paycore.ledger.audit import read_anchor

    if payment_id is not None or reference is not None:
        raise UsageProblem("--anchor goes with the ledger as a whole, not with one payment")
    path = Path(name)
    try:
        if not path.is_file():
            raise UsageProblem(f"--anchor: {name} is not a file")
        with path.open("rb") as file:
            return read_anchor(file.read(ANCHOR_MAX))
    except OSError as error:
        raise UsageProblem(f"--anchor: {name} can't be read: {error.strerror}") from error
    except InvalidField as error:
        raise UsageProblem(f"--anchor: {name}: {error.message}") from error


def _id_of(ledger: ReadOnlyLedger, options: GlobalOptions, name: str | None, reference: str | None) -> str:
    """Return the payment's id, from rows that are not decoded: those of a damaged payment may not be readable."""
    from paycore.ledger.history import accounts_of, name_of

    found = dict(accounts_of(ledger, str(reference if name is None else name), options.account))
    if name is None:
        return only(found, str(reference))
    by_id = name_of(ledger, name)
    if by_id is None:
        return only(found, name) if found else name
    for account, other in found.items():
        if other != name:
            raise clash((name, *by_id), (other, account))
    return name


def _print_summary(output: Output, tally: Counter[str]) -> None:
    if output.options.json:
        output.json({"type": "summary", **tally})
        return
    found = count(tally["differences"], "difference") if tally["differences"] else "everything holds"
    output.data(f"{found}: {_counts(tally, 'payment', 'event')}")
    if tally["differences"]:
        output.say(
            "a person must look: keep this ledger as it is, and compare it with a backup or an export,"
            " and with the provider's records"
        )


# --- export ------------------------------------------------------------------------------------------


def _export_to_file(ledger: ReadOnlyLedger, output: Output, name: str, *, overwrite: bool) -> int:
    from paycore.ledger.audit import records, render_record

    tally = Counter(payments=0, events=0, notifications=0)
    with (
        on_ctrl_c(f"{name} was not written"),
        Progress(output) as progress,
        whole_file("--output", name, overwrite=overwrite) as file,
    ):
        for record in records(ledger):
            file.write(f"{render_record(record)}\n".encode())
            tally[f"{record['type']}s"] += 1
            progress.show(lambda: f"exported {_counts(tally, 'payment', 'event')}")
    if output.options.json:
        output.json({"file": name, **tally})
    output.say(f"wrote {name}: {_counts(tally, 'payment', 'event', 'notification')}")
    return Exit.DONE


# --- shared ---------------------------------------------------------------------------------


def _check_overwrite(output: str, *, overwrite: bool) -> None:
    if output == STDOUT and overwrite:
        raise UsageProblem("--overwrite goes with --output FILE")


def _refuse_account(options: GlobalOptions) -> None:
    if options.account is not None:
        raise UsageProblem(
            "--account goes with a payment: the ledger as a whole has every account's payments"
        )


def _counts(tally: Counter[str], *things: str) -> str:
    return ", ".join(count(tally[f"{thing}s"], thing) for thing in things)


def _told(migrated: Migrated) -> str:
    name, before, after = migrated.name, migrated.before, migrated.after
    if before == 0:
        return f"made {name} with schema {after}"
    if before == after:
        return f"{name} is up to date: schema {after}"
    return f"{name}: schema {before} -> {after}"
