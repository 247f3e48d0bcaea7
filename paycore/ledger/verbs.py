"""
What each method of a ledger reads, decides and writes, on any database.

Methods that write work on a `Group`, which they share with the rest of their group. Methods that only read
are plain SQL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from paycore.domain.asking import Due
from paycore.domain.bringing_back import BroughtBack
from paycore.domain.budget import asked, refused, spend_command, spend_question
from paycore.domain.codec import encode
from paycore.domain.events import (
    GENESIS,
    Change,
    Event,
    Observed,
    OperationEnded,
    PaymentBegun,
    Source,
    chain_hash,
)
from paycore.domain.lifecycle import bounded, evolve
from paycore.domain.observation import Observation
from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Mention, Notice
from paycore.domain.wire import CREDENTIAL_HEADERS, Notification
from paycore.errors import NotSent, ReferenceConflict
from paycore.ledger.api import (
    Claimed,
    Claiming,
    Committed,
    Decide,
    Recorded,
    Report,
    Rescheduled,
    Sought,
    Spending,
    Turn,
    committed_in,
    named_by,
    to_send,
)
from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.group import Group, Known
from paycore.ledger.rows import check_storable, new_charges, read_payment
from paycore.ledger.transaction import Row, Transaction

NoticeT = TypeVar("NoticeT", bound=Notice)

NAMED_IN_SQL_MAX = 500
"""Ids of which a statement asks; of more, the rows are looked through."""

LOOKED_THROUGH_MAX = 5_000
"""Rows that are looked through, the most overdue ones."""


def changed_ids(result: object) -> Iterator[str]:
    """The ids of the payments that a method with this result changed."""
    return (committed.payment.id for committed in committed_in(result) if committed.events)


# --- writing -----------------------------------------------------------------------------------------


def begin(
    group: Group, begun: Callable[[datetime], PaymentBegun], spending: Spending | None = None
) -> Committed:
    """See `Ledger.begin`."""
    change = begun(group.now)
    operation = change.operation
    check_storable(
        account=change.account,
        namespace=change.namespace,
        reference=change.order.reference,
        payment_id=change.payment_id,
        provider=change.provider,
        operation_id=operation.id,
        number=operation.number,
    )
    known = group.with_reference(change.account, change.namespace, change.order.reference)
    if known is not None:
        return Committed(payment=known, events=(), now=group.now)
    send_at = None if spending is None else spend(group, spending).send_at
    payment = evolve(None, change, group.now)
    event, row = _event(payment, None, change, Source.CALLER, GENESIS, group.now)
    group.keep(None, payment, event.hash, [row])
    return Committed(payment=payment, events=(event,), now=group.now, send_at=send_at)


def bring_back(group: Group, names: Sought, found: Callable[[datetime], BroughtBack]) -> Committed:
    """See `Ledger.bring_back`."""
    first, changes = found(group.now)
    account, operation = first.account, first.operation
    check_storable(
        account=account,
        namespace=first.namespace,
        reference=first.order.reference,
        payment_id=first.payment_id,
        provider=first.provider,
        operation_id=operation.id,
        number=operation.number,
    )
    known = group.with_reference(account, first.namespace, first.order.reference)
    if known is None:
        numbers = (owner for number in names.numbers for owner in group.owners_of(number))
        owners = [*numbers, *(one for key in names.ids for one in group.with_provider_id(account, key))]
        known = group.payment(owners[0]) if owners else None
    if known is not None:
        return Committed(payment=known, events=(), now=group.now)
    payment = evolve(None, first, group.now)
    event, row = _event(payment, None, first, Source.LIST, GENESIS, group.now)
    folded = _fold(group, Known(payment, event.hash), changes, Source.LIST, {})
    head = folded.events[-1].hash if folded.events else event.hash
    group.keep(None, folded.payment, head, [row, *folded.rows])
    return Committed(payment=folded.payment, events=(event, *folded.events), now=group.now)


def change(
    group: Group, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
) -> Committed:
    """See `Ledger.change`."""
    check_storable(payment_id=payment_id)
    known = group.known(payment_id)
    folded = _fold(group, known, decide(known.payment, group.now), source, {})
    send_at = None
    if spending is not None and to_send(folded.events) is not None:
        send_at = spend(group, spending).send_at
    return replace(_keep(group, [folded])[0], send_at=send_at)


def spend(group: Group, spending: Spending) -> Turn:
    """See `Ledger.spend`."""
    account, now_ms = spending.account, to_ms(group.now)
    until_ms = now_ms + round(spending.wait_s * 1000)
    spent, at_ms = spend_command(group.spent(account), spending.budget, now_ms, until_ms)
    if at_ms > until_ms:
        left_s = (at_ms - now_ms) / 1000
        raise NotSent(
            f"account {account}: its request budget is spent; call again in {math.ceil(left_s)} s",
            retry_after_s=left_s,
        )
    group.keep_spent(account, spent)
    return Turn(from_ms(at_ms), group.now)


def rest(group: Group, account: str, retry_after_s: float | None) -> None:
    """See `Ledger.rest`."""
    group.keep_spent(account, refused(group.spent(account), to_ms(group.now), retry_after_s))


def observe(
    group: Group, account: str, observations: Sequence[Observation], source: Source
) -> tuple[Committed, ...]:
    """See `Ledger.observe`."""
    return _keep(group, _fold_observations(group, account, observations, source))


def record_notification(
    group: Group, account: str, notification: Notification, told: Sequence[Notice], *, is_evidence: bool
) -> Recorded:
    """See `Ledger.record_notification`."""
    digest = notification.digest
    evidence = [item for item in told if is_evidence and not isinstance(item, Mention)]
    mentions = [item for item in told if isinstance(item, Mention)]
    named = _by_payment(group, account, told)
    recorded = Recorded(
        payments=tuple(Committed(payment=group.payment(owner), events=(), now=group.now) for owner in named),
        due=tuple(_by_payment(group, account, mentions if is_evidence else told)),
        unknown={
            named_by(item): _accounts_with(group, item) for item in told if not _owners(group, account, item)
        },
        is_repeat=group.has_notification(account, digest),
    )
    if recorded.is_repeat:
        _make_due(group, _by_payment(group, account, mentions))
        return recorded
    kept = {name: value for name, value in notification.headers.items() if name not in CREDENTIAL_HEADERS}
    folded = _fold_observations(group, account, evidence, Source.NOTIFICATION)
    group.keep_notification(
        account,
        digest,
        (
            to_ms(notification.received_at),
            encode(kept).decode(),
            notification.query,
            notification.body,
            "evidence" if is_evidence else "hint",
            next(iter(named), None),
        ),
    )
    changed = {committed.payment.id: committed for committed in _keep(group, folded)}
    _make_due(group, recorded.due)
    payments = tuple(changed.get(before.payment.id, before) for before in recorded.payments)
    return msgspec.structs.replace(recorded, payments=payments)


def _make_due(group: Group, payment_ids: Iterable[str]) -> None:
    for payment_id in payment_ids:
        group.hint(payment_id)


def claim(group: Group, claiming: Claiming) -> Claimed:
    """See `Ledger.claim`."""
    account, now_ms, tx = claiming.account, to_ms(group.now), group.reading()
    due = _due(tx, claiming, now_ms)
    if not due:
        is_pass = claiming.not_asked_since is not None  # nothing comes due for it
        return Claimed(now=group.now, next_at=None if is_pass else _next_due(tx, claiming, now_ms))
    spent, at_ms = spend_question(group.spent(account), claiming.budget, now_ms)
    if at_ms > now_ms:
        return Claimed(now=group.now, next_at=from_ms(at_ms))
    question = claiming.choose(due, now_ms)
    group.keep_spent(account, spent)
    tx = group.direct()
    sql, ids = tx.in_list(question.ids)
    rows = tx.execute(
        "UPDATE payments SET due_at = ?, asked_at = ?, hinted = CASE WHEN hinted = 0 THEN 0 ELSE 2 END WHERE id IN ("  # noqa: S608 - values are bound
        f"SELECT id FROM payments WHERE id {sql}{tx.skip_locked}) RETURNING id, body",
        (now_ms + round(claiming.lease_s * 1000), now_ms, ids),
    ).fetchall()
    claimed = {one.id: one for one in due}
    return Claimed(
        now=group.now,
        question=question,
        payments=tuple(read_payment(*row) for row in rows),
        due=tuple(claimed[payment_id] for payment_id in question.ids),
        next_at=group.now,
    )


def _due(tx: Transaction, claiming: Claiming, now_ms: int) -> list[Due]:
    """
    What of the account is due, and soon; or was not asked about since the time given. The most overdue first.

    Nothing where nothing is due.
    """
    due = _due_of(tx, claiming, now_ms, claiming.ids)
    return due if due and due[0].due_ms <= now_ms else []


def _due_of(tx: Transaction, claiming: Claiming, now_ms: int, ids: Collection[str] | None) -> list[Due]:
    """The same, whether or not anything is due."""
    if ids is None or len(ids) <= NAMED_IN_SQL_MAX:
        return _read_due(tx, claiming, now_ms, ids, claiming.weighed)
    wanted = frozenset(ids)
    rows = _read_due(tx, claiming, now_ms, None, LOOKED_THROUGH_MAX)
    due = [one for one in rows if one.id in wanted]
    if due or len(rows) < LOOKED_THROUGH_MAX:
        return due[: claiming.weighed]
    return _read_due(tx, claiming, now_ms, ids, claiming.weighed)  # they are behind what nobody here wants


def _read_due(
    tx: Transaction, claiming: Claiming, now_ms: int, ids: Collection[str] | None, limit: int
) -> list[Due]:
    since = claiming.not_asked_since
    condition, at_ms = (
        ("due_at <= ?", now_ms + round(claiming.ahead_s * 1000))
        if since is None
        else ("due_at IS NOT NULL AND coalesce(asked_at, 0) < ?", to_ms(since))
    )
    among, parameters = ("", ()) if ids is None else _among(tx, ids)
    rows = tx.execute(
        "SELECT id, created_at, coalesce(asked_at, 0), listed, hinted, due_at FROM payments"  # noqa: S608 - values are bound
        f" WHERE account = ? AND {condition}{among} ORDER BY due_at LIMIT ?",
        (claiming.account, at_ms, *parameters, limit),
    ).fetchall()
    return [
        Due(
            payment_id,
            made_ms,
            asked_ms,
            bool(is_listed),
            bool(is_hinted),
            due_ms if since is None else now_ms,
        )
        for payment_id, made_ms, asked_ms, is_listed, is_hinted, due_ms in rows
    ]


def _next_due(tx: Transaction, claiming: Claiming, now_ms: int) -> datetime | None:
    """When the next of these is due; of very many, when the next of the account is."""
    ids = claiming.ids
    among, parameters = ("", ()) if ids is None or len(ids) > NAMED_IN_SQL_MAX else _among(tx, ids)
    sql = f"SELECT min(due_at) FROM payments WHERE account = ? AND due_at > ?{among}"  # noqa: S608
    ((due_ms,),) = tx.execute(sql, (claiming.account, now_ms, *parameters)).fetchall()
    return None if due_ms is None else from_ms(due_ms)


def renew(group: Group, ids: Collection[str], lease_s: float) -> None:
    """See `Ledger.renew`."""
    tx = group.direct()
    sql, parameter = tx.in_list(ids)
    tx.execute(
        f"UPDATE payments SET due_at = ? WHERE due_at > ? AND hinted <> 1 AND id {sql}",  # noqa: S608
        (to_ms(group.now) + round(lease_s * 1000), to_ms(group.now), parameter),
    )


def reschedule(group: Group, due: Sequence[Rescheduled], report: Report | None = None) -> None:
    """See `Ledger.reschedule`."""
    for one in due:
        group.postpone(one)
    if report is None or (report.is_answered and group.is_answering(report.account)):
        return
    account, is_answered, rests_s = report
    spent = asked(group.spent(account), to_ms(group.now), is_answered=is_answered, rests_s=rests_s)
    group.keep_spent(account, spent)


class _Folded(NamedTuple):
    """The result of applying changes: the payment before and after, the events and their rows."""

    before: Payment
    payment: Payment
    events: list[Event]
    rows: list[Row]


def _fold(
    group: Group, known: Known, changes: Sequence[Change], source: Source, charged: dict[str, str]
) -> _Folded:
    """
    Apply the changes to the payment in memory.

    `charged` maps the provider ids of this unit's charges to their payments, and is updated.
    """
    payment, head = known
    folded = _Folded(payment, payment, [], [])
    for decided in changes:
        item = bounded(payment, decided)
        evolved = evolve(payment, item, group.now)
        if evolved is payment:
            continue
        has_charges = evolved.charges != payment.charges
        owner = _owner_of_charge(group, payment, evolved, charged) if has_charges else None
        if owner is not None and isinstance(item, Observed | OperationEnded):
            item = replace(item, charge_of=owner)
            evolved = evolve(payment, item, group.now)
            if evolved is payment:
                continue
        event, row = _event(evolved, payment.status, item, source, head, group.now)
        folded.events.append(event)
        folded.rows.append(row)
        payment, head = evolved, event.hash
    if payment.refunds:
        _refuse_taken_refunds(group, folded.before, payment)
    return folded._replace(payment=payment)


def _owner_of_charge(group: Group, before: Payment, payment: Payment, charged: dict[str, str]) -> str | None:
    """The id of another payment that already has a new charge of this one; otherwise add the charges to `charged`."""
    ids = [charge.provider_id for charge in new_charges(before, payment)]
    for provider_id in ids:
        owner = charged.get(provider_id) or group.with_charge(payment.account, provider_id)
        if owner is not None and owner != payment.id:
            return owner
    charged.update(dict.fromkeys(ids, payment.id))
    return None


def _fold_observations(
    group: Group, account: str, observations: Sequence[Observation], source: Source
) -> list[_Folded]:
    charged: dict[str, str] = {}
    return [
        _fold(group, group.known(owner), [Observed(observation=item) for item in own], source, charged)
        for owner, own in _by_payment(group, account, observations).items()
    ]


def _keep(group: Group, folded: Sequence[_Folded]) -> tuple[Committed, ...]:
    """Store row, operations and events of each payment. The last step of a unit: nothing fails from here on."""
    kept: list[Committed] = []
    for before, payment, events, rows in folded:
        if events:
            group.keep(before, payment, events[-1].hash, rows)
        kept.append(Committed(payment=payment, events=tuple(events), now=group.now))
    return tuple(kept)


def _event(
    payment: Payment,
    status_from: Status | None,
    item: Change,
    source: Source,
    prev_hash: bytes,
    now: datetime,
) -> tuple[Event, Row]:
    """The event that resulted in `payment`, and its row."""
    at_ms, body = to_ms(now), encode(item)
    own_hash = chain_hash(prev_hash, payment.id, payment.version, at_ms, source, body)
    event = Event(
        payment_id=payment.id,
        seq=payment.version,
        at=now,
        source=source,
        status_from=status_from,
        status_to=payment.status,
        change=item,
        prev_hash=prev_hash,
        hash=own_hash,
    )
    return event, (
        payment.id,
        payment.version,
        at_ms,
        source.value,
        event.kind,
        status_from and status_from.value,
        payment.status.value,
        body.decode(),
        prev_hash,
        own_hash,
    )


def _refuse_taken_refunds(group: Group, before: Payment, payment: Payment) -> None:
    """Check that no other refund of the namespace, of whichever payment, has the reference of a new one."""
    known = {refund.reference for refund in before.refunds}
    for refund in payment.refunds:
        if refund.reference not in known:
            check_storable(refund_reference=refund.reference)
            if group.has_refund(payment.account, payment.namespace, refund.reference):
                raise ReferenceConflict(refund.reference, "payment", payment_id=payment.id)


def _by_payment(group: Group, account: str, told: Sequence[NoticeT]) -> dict[str, list[NoticeT]]:
    """Group notices by the payments they name, ordered by id so that locks never cross."""
    grouped: dict[str, list[NoticeT]] = {}
    for item in told:
        for owner in _owners(group, account, item):
            grouped.setdefault(owner, []).append(item)
    return dict(sorted(grouped.items()))


def _owners(group: Group, account: str, notice: Notice) -> Sequence[str]:
    """The ids of the account's payments that a notice names: one by a number of ours, any by an id."""
    if notice.number is None:
        return group.with_provider_id(account, named_by(notice))
    owner = group.with_number(account, notice.number)
    return () if owner is None else (owner,)


def _accounts_with(group: Group, notice: Notice) -> tuple[str, ...]:
    """The accounts that have what a notice names."""
    if notice.number is None:
        return group.accounts_with_provider_id(named_by(notice))
    return group.accounts_with_number(notice.number)


def _among(tx: Transaction, ids: Collection[str]) -> tuple[str, Row]:
    sql, parameter = tx.in_list(ids)
    return f" AND id {sql}", (parameter,)
