"""
One group of units in memory: read ahead together, decide, and write together.

A unit sees what the units before it in its group did. It stores its results as its last step, so a unit that
fails does not affect the others. The SQL here is shared by SQLite and PostgreSQL, with `?` as parameter mark;
they differ in `Transaction` only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from paycore.domain.budget import Spent
from paycore.domain.codec import decode, encode
from paycore.domain.decisions import named
from paycore.domain.payment import Payment
from paycore.domain.schedule import INTERVAL_MIN_S
from paycore.errors import LedgerCorrupt, NotFound
from paycore.ledger.api import Rescheduled
from paycore.ledger.clock import to_ms
from paycore.ledger.rows import (
    CHANGING,
    EMPTY,
    HINT,
    INSERT_CHARGE,
    INSERT_EVENT,
    INSERT_NOTIFICATION,
    INSERT_OPERATION,
    INSERT_PAYMENT,
    INSERT_PROVIDER_ID,
    INSERT_REFUND,
    INSERT_SPENT,
    POSTPONE,
    UPDATE_PAYMENT,
    UPDATE_SPENT,
    columns,
    is_storable,
    new_charges,
    new_provider_ids,
    read_payment,
)
from paycore.ledger.transaction import AgainError, Row, Transaction

Key = tuple[str, str]


NAMED_MAX = 20
"""Payments that one id of the provider's can name, the newest ones: what more of them have is no order's id."""

EVER_MS = 1 << 62
"""Later than any time."""


class Wants(NamedTuple):
    """
    What a unit reads: payments by id, references, (account, number)s.

    `charges` and `named` are (account, provider id)s: of money that was taken, and of anything of a payment. `inbox`:
    notifications by (account, digest). `budgets`: accounts whose request budget it may spend.
    """

    payments: Sequence[str] = ()
    references: Sequence[str] = ()
    numbers: Sequence[Key] = ()
    charges: Sequence[Key] = ()
    named: Sequence[Key] = ()
    inbox: Sequence[Key] = ()
    budgets: Sequence[str] = ()


class Known(NamedTuple):
    """A payment and the hash of its last event."""

    payment: Payment
    head: bytes


class RefundName(NamedTuple):
    """A row of `refunds`: which payment a refund's reference belongs to."""

    account: str
    reference: str
    payment_id: str
    namespace: str


class Stage:
    """What the units have done and is not written yet."""

    __slots__ = (
        "charges",
        "events",
        "hinted",
        "inbox",
        "named",
        "numbers",
        "payments",
        "postponed",
        "references",
        "refunds",
        "spent",
    )

    def __init__(self) -> None:
        self.payments: dict[str, Known] = {}
        self.references: dict[str, list[str]] = {}
        self.numbers: dict[Key, str] = {}
        self.refunds: list[RefundName] = []
        self.charges: dict[Key, str] = {}
        self.named: dict[Key, set[str]] = {}
        self.inbox: dict[Key, Row] = {}
        self.events: list[Row] = []
        self.hinted: list[tuple[int, int, int, str]] = []
        self.postponed: list[tuple[int | None, int | None, int, str, int, int, int]] = []
        self.spent: dict[str, Spent] = {}


class Group:
    """
    One transaction as its units see it.

    `now` is the ledger's time in it, `writes` counts the statements that wrote, `changed` holds the ids of changed
    payments.
    """

    def __init__(self, tx: Transaction, now: datetime) -> None:
        self.now = now
        self.writes = 0
        self.changed: set[str] = set()
        self.database_error = tx.error
        self._tx = tx
        self._stage = Stage()
        self._stored: dict[str, Known | None] = {}
        self._by_reference: dict[str, list[Payment]] = {}
        self._owners: dict[str, dict[str, str]] = {}  # by number and account
        self._charged: dict[Key, str | None] = {}
        self._named: dict[str, dict[str, set[str]]] = {}  # by provider id and account
        self._received: dict[Key, bool] = {}
        self._spent: dict[str, Spent] = {}

    # --- reading -------------------------------------------------------------------------------------

    def read_ahead(self, wants: Sequence[Wants]) -> None:
        """
        Read what the units ask for, one statement for each kind.

        Budgets are locked first, then payments, each in the order of their ids: so locks never cross.
        """
        self._find_spent({account for want in wants for account in want.budgets})
        self._find({key for want in wants for key in want.references})
        numbers = {key for want in wants for key in want.numbers}
        named = {key for want in wants for key in want.named}
        self._find_owners({number for _, number in numbers})
        self._find_charged({key for want in wants for key in want.charges})
        self._find_named({provider_id for _, provider_id in named})
        self._find_received({key for want in wants for key in want.inbox})
        ids = {payment_id for want in wants for payment_id in want.payments}
        ids.update(filter(None, (self.with_number(*key) for key in numbers)))
        self._lock(ids.union(*(self.with_provider_id(*key) for key in named)))

    def payment(self, payment_id: str) -> Payment:
        """The payment, locked until the transaction ends; `NotFound` when there is none."""
        return self.known(payment_id).payment

    def known(self, payment_id: str) -> Known:
        """The payment, see `payment`, and the hash of its last event."""
        known = self._stage.payments.get(payment_id)
        if known is None:
            if payment_id not in self._stored:
                self._lock({payment_id})
            known = self._stored[payment_id]
        if known is None:
            raise NotFound(f"no payment has the id {payment_id!r}")
        return known

    def with_reference(self, account: str, namespace: str, reference: str) -> Payment | None:
        """The payment that has this reference for this account; see `decisions.named`."""
        if reference not in self._by_reference:
            self._find({reference})
        staged = [self.payment(payment_id) for payment_id in self._stage.references.get(reference, ())]
        candidates = (*self._by_reference[reference], *staged)
        known = named(candidates, account, namespace) if candidates else None
        return known if known is None or known.id not in self._stage.payments else self.payment(known.id)

    def with_number(self, account: str, number: str) -> str | None:
        """The id of the payment that this number of an order, a capture or a refund belongs to."""
        staged = self._stage.numbers.get((account, number))
        return staged or self._owners_of(number).get(account)

    def with_provider_id(self, account: str, provider_id: str) -> tuple[str, ...]:
        """The ids of the payments that the provider has called by this id, at most `NAMED_MAX`; newest first."""
        stored = self._named_by(provider_id).get(account, set())
        found = stored | self._stage.named.get((account, provider_id), set())
        return tuple(sorted(found, reverse=True)[:NAMED_MAX])

    def owners_of(self, number: str) -> tuple[str, ...]:
        """The ids of the payments, of whichever account, that have this number."""
        staged = [owner for (_, own), owner in self._stage.numbers.items() if own == number]
        return tuple(dict.fromkeys([*self._owners_of(number).values(), *staged]))

    def accounts_with_number(self, number: str) -> tuple[str, ...]:
        """The accounts of which a payment has this number."""
        return tuple(sorted(self._owners_of(number)))

    def accounts_with_provider_id(self, provider_id: str) -> tuple[str, ...]:
        """The accounts of which a payment has this id of the provider's."""
        return tuple(sorted(self._named_by(provider_id)))

    def has_refund(self, account: str, namespace: str, reference: str) -> bool:
        """Whether some payment of this account or namespace has a refund with this reference."""
        rows = self._tx.execute(
            "SELECT account, namespace FROM refunds WHERE reference = ?", (reference,)
        ).fetchall()
        rows += [
            (name.account, name.namespace) for name in self._stage.refunds if name.reference == reference
        ]
        return any(taken[0] == account or taken[1] == namespace for taken in rows)

    def with_charge(self, account: str, provider_id: str) -> str | None:
        """The id of the payment whose charge has this provider id."""
        key = (account, provider_id)
        staged = self._stage.charges.get(key)
        if staged is None and key not in self._charged:
            self._find_charged({key})
        return staged or self._charged[key]

    def spent(self, account: str) -> Spent:
        """What the account has spent of its request budget, locked until the transaction ends."""
        staged = self._stage.spent.get(account)
        if staged is None and account not in self._spent:
            self._find_spent({account})
        return staged or self._spent[account]

    def is_answering(self, account: str) -> bool:
        """Whether its provider has answered the last question: read without a lock, since it nearly always has."""
        known = self._stage.spent.get(account) or self._spent.get(account)
        if known is not None:
            return not known.unanswered
        rows = self._tx.execute("SELECT body FROM budgets WHERE account = ?", (account,)).fetchall()
        return all(not decode(body, Spent).unanswered for (body,) in rows)

    def has_notification(self, account: str, digest: str) -> bool:
        """Whether this notification was recorded before."""
        key = (account, digest)
        if key not in self._received:
            self._find_received({key})
        return key in self._stage.inbox or self._received[key]

    def _lock(self, ids: Collection[str]) -> None:
        unread = sorted(payment_id for payment_id in ids if payment_id not in self._stored)
        ordered = f" ORDER BY id{self._tx.for_update}"
        rows = self._select("SELECT id, body, head FROM payments WHERE id", unread, ordered)
        self._stored.update(dict.fromkeys(unread))
        for payment_id, body, head in rows:
            self._stored[payment_id] = Known(read_payment(payment_id, body), bytes(head))

    def _find(self, references: Collection[str]) -> None:
        rows = self._select("SELECT reference, id, body FROM payments WHERE reference", references)
        self._by_reference.update((reference, []) for reference in references)
        for reference, payment_id, body in rows:
            self._by_reference[reference].append(read_payment(payment_id, body))

    def _find_spent(self, accounts: Collection[str]) -> None:
        """Read and lock the budgets; those of new accounts are made first, since only what is there can be locked."""
        select, ordered = (
            "SELECT body, account FROM budgets WHERE account",
            f" ORDER BY account{self._tx.for_update}",
        )
        unread = sorted(accounts)
        rows = self._select(select, unread, ordered)
        if len(rows) < len(unread):
            self._tx.executemany(INSERT_SPENT, [(account, EMPTY) for account in unread])
            rows = self._select(select, unread, ordered)
        self._spent.update((account, decode(body, Spent)) for body, account in rows)

    def _owners_of(self, number: str) -> dict[str, str]:
        if number not in self._owners:
            self._find_owners({number})
        return self._owners[number]

    def _find_owners(self, numbers: Collection[str]) -> None:
        rows = self._select(
            "SELECT account, number, payment_id FROM operations WHERE kind <> 'close' AND number", numbers
        )
        self._owners.update((number, {}) for number in numbers)
        for account, number, owner in rows:
            self._owners[number][account] = owner

    def _named_by(self, provider_id: str) -> dict[str, set[str]]:
        if provider_id not in self._named:
            self._find_named({provider_id})
        return self._named[provider_id]

    def _find_named(self, provider_ids: Collection[str]) -> None:
        rows = self._select(
            "SELECT account, provider_id, payment_id FROM provider_ids WHERE provider_id", provider_ids
        )
        self._named.update((provider_id, {}) for provider_id in provider_ids)
        for account, provider_id, payment_id in rows:
            self._named[provider_id].setdefault(account, set()).add(payment_id)

    def _find_charged(self, keys: Collection[Key]) -> None:
        rows = self._select(
            "SELECT account, provider_id, payment_id FROM charges WHERE provider_id",
            {provider_id for _, provider_id in keys},
        )
        self._charged.update(dict.fromkeys(keys))
        self._charged.update({(account, provider_id): owner for account, provider_id, owner in rows})

    def _find_received(self, keys: Collection[Key]) -> None:
        self._received.update(dict.fromkeys(keys, False))
        for account in {account for account, _ in keys}:
            sql, parameter = self._tx.in_list([digest for owner, digest in keys if owner == account])
            select = f"SELECT digest FROM inbox WHERE account = ? AND digest {sql}"  # noqa: S608 - as above
            rows = self._tx.execute(select, (account, parameter)).fetchall()
            self._received.update(((account, digest), True) for (digest,) in rows)

    def _select(self, select: str, values: Collection[str], then: str = "") -> list[Row]:
        """The rows where the last column of `select` has one of the values; none has text that can't be stored."""
        known = [value for value in values if is_storable(value)]
        if not known:
            return []
        sql, parameter = ("= ?", known[0]) if len(known) == 1 else self._tx.in_list(known)
        return self._tx.execute(f"{select} {sql}{then}", (parameter,)).fetchall()

    # --- writing -------------------------------------------------------------------------------------

    def keep(self, before: Payment | None, payment: Payment, head: bytes, events: Sequence[Row]) -> None:
        """Store the payment that `before` (None: a new payment) became, and the rows of its new events."""
        stage, account = self._stage, payment.account
        stage.payments[payment.id] = Known(payment, head)
        stage.events.extend(events)
        if before is None:
            stage.references.setdefault(payment.order.reference, []).append(payment.id)
        for operation in payment.operations[len(before.operations) if before else 0 :]:
            if operation.kind != "close":
                stage.numbers[account, operation.number] = payment.id
        known = {refund.reference for refund in before.refunds} if before else set()
        for refund in payment.refunds:
            if refund.reference not in known:
                stage.refunds.append(RefundName(account, refund.reference, payment.id, payment.namespace))
        if payment.charges:
            for charge in new_charges(before, payment):
                if self.with_charge(account, charge.provider_id) is None:
                    stage.charges[account, charge.provider_id] = payment.id
        for provider_id in new_provider_ids(before, payment):
            stage.named.setdefault((account, provider_id), set()).add(payment.id)

    def keep_notification(self, account: str, digest: str, row: Row) -> None:
        """Store a notification; `row`: time received, headers, query, body, verdict, payment id."""
        self._stage.inbox[account, digest] = row

    def keep_spent(self, account: str, spent: Spent) -> None:
        """Store what the account has spent of its request budget."""
        self._stage.spent[account] = spent

    def hint(self, payment_id: str) -> None:
        """
        Make a payment due, whatever is recorded of it until somebody has asked about it and was answered.

        Now, or as soon as it may be asked about again.
        """
        now_ms, apart_ms = to_ms(self.now), round(INTERVAL_MIN_S * 1000)
        self._stage.hinted.append((now_ms - apart_ms, apart_ms, now_ms, payment_id))

    def postpone(self, due: Rescheduled) -> None:
        """
        Set when a payment is due, and when it was asked about; None: as before.

        Unless its version changes until this is written, it is due already, or somebody else has claimed it since.
        """
        until, asked_ms = (None if one is None else to_ms(one) for one in (due.due_at, due.asked_at))
        claimed_ms = EVER_MS if due.claimed_at is None else to_ms(due.claimed_at)
        self._stage.postponed.append(
            (until, asked_ms, int(due.is_answered), due.payment_id, due.version, to_ms(self.now), claimed_ms)
        )

    def reading(self) -> Transaction:
        """The transaction, for a statement that only reads; staged changes are written first."""
        self.flush()
        return self._tx

    def direct(self) -> Transaction:
        """The transaction, for a statement that selects its own rows; staged changes are written first."""
        self.flush()
        self.writes += 1
        return self._tx

    def flush(self) -> None:
        """Write the staged changes."""
        stage, self._stage = self._stage, Stage()
        new: list[Row] = []
        old: list[Row] = []
        operations: list[Row] = []
        for payment, head in stage.payments.values():
            stored, values = self._stored.get(payment.id), columns(payment)
            for item in payment.operations[len(stored.payment.operations) if stored else 0 :]:
                begun_ms = to_ms(item.begun_at)
                operations.append(
                    (item.id, payment.id, payment.account, item.kind.value, item.number, begun_ms)
                )
            body = encode(payment).decode()
            if stored is None:
                new.append((*values, head, body, payment.id))
            else:
                old.append((*values[:CHANGING], head, body, payment.id, stored.payment.version))
        self._write(INSERT_PAYMENT, new)
        self._write(UPDATE_PAYMENT, old)
        self._write(INSERT_OPERATION, operations)
        self._write(INSERT_REFUND, stage.refunds)
        # Sorted, so that two processes with the same ids lock them in the same order.
        self._write(INSERT_CHARGE, [(*key, owner) for key, owner in sorted(stage.charges.items())])
        if stage.named:  # no id of the provider's is anybody's own, so none is refused
            owners = [(*key, owner) for key, ids in sorted(stage.named.items()) for owner in sorted(ids)]
            self._tx.executemany(INSERT_PROVIDER_ID, owners)
        self._write(INSERT_EVENT, stage.events)
        self._write(INSERT_NOTIFICATION, [(*key, *row) for key, row in stage.inbox.items()])
        self._flush_schedule(stage)
        self._stored.update(stage.payments)
        for reference in stage.references:  # what was read before is incomplete now
            self._by_reference.pop(reference, None)
        self._received.update(dict.fromkeys(stage.inbox, True))
        self._charged.update(stage.charges)
        for number in {number for _, number in stage.numbers}:
            self._owners.pop(number, None)
        for provider_id in {provider_id for _, provider_id in stage.named}:
            self._named.pop(provider_id, None)
        self.changed.update(stage.payments)

    def _flush_schedule(self, stage: Stage) -> None:
        """Write when payments are due, and what their accounts have spent."""
        if stage.hinted:
            self._tx.executemany(HINT, stage.hinted)
        if stage.spent:
            self._write(
                UPDATE_SPENT,
                [(encode(spent).decode(), account) for account, spent in sorted(stage.spent.items())],
            )
            self._spent.update(stage.spent)
        if stage.postponed:
            self._tx.executemany(POSTPONE, stage.postponed)

    def _write(self, sql: str, rows: Collection[Row]) -> None:
        """Insert or update exactly these rows; run again if another process has changed or inserted one first."""
        if not rows:
            return
        self.writes += 1
        if self._tx.executemany(sql, rows).rowcount != len(rows):
            taken = LedgerCorrupt("an id or number that was to be new is taken in the ledger")
            raise AgainError(taken, times_max=3)
