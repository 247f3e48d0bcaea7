"""
Writes what a migration can't write by SQL, because it follows from the decoded payment: columns, and bodies anew.

The schema file leaves NULL in `open`. Such rows are written in pages when the ledger is opened, so a process that
dies meanwhile loses nothing, and a ledger may have any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from paycore.domain.codec import encode
from paycore.domain.events import NamespaceGiven, Source
from paycore.domain.schedule import is_listed, is_open
from paycore.errors import LedgerCorrupt
from paycore.ledger import verbs
from paycore.ledger.clock import from_ms
from paycore.ledger.group import Group
from paycore.ledger.rows import read_payment
from paycore.ledger.transaction import Row, Transaction

PAGE = 500

# Locked: another process that opens the ledger may have filled the page first, and gone on with its payments.
_LEFT = "SELECT id, body, account, namespace FROM payments WHERE open IS NULL ORDER BY id LIMIT ?"
_FILL = (
    "UPDATE payments SET open = ?, listed = ?, body = ?, authorized_at = ?, paid_at = ?, closed_at = ?,"
    " namespace = coalesce(namespace, account) WHERE id = ?"
)
_BECAME = (
    "SELECT payment_id, status_to, at FROM events WHERE payment_id {among} AND coalesce(status_from, '') <> status_to"
    " AND status_to IN ('authorized', 'paid', 'closed') ORDER BY payment_id, seq DESC"
)
_GIVEN = (
    "SELECT p.account, count(*) FROM events e JOIN payments p ON p.id = e.payment_id"
    " WHERE e.kind = 'namespace_given' GROUP BY p.account ORDER BY p.account"
)


class Filled(NamedTuple):
    """The number of rows in a page, and of payments of each account that were given a namespace."""

    rows: int
    given: Counter[str]


def is_left(tx: Transaction) -> bool:
    """Whether there are rows to fill."""
    return bool(tx.execute("SELECT 1 FROM payments WHERE open IS NULL LIMIT 1").fetchall())


def fill(group: Group) -> Filled:
    """Fill the next page."""
    tx = group.direct()
    rows = tx.execute(_LEFT + tx.for_update, (PAGE,)).fetchall()
    given: Counter[str] = Counter()
    if not rows:
        return Filled(0, given)
    became = _became(tx, [row[0] for row in rows])
    tx.executemany(_FILL, [_filled(row[0], row[1], became[row[0]]) for row in rows])
    for payment_id, _, account, namespace in rows:
        if namespace is None and _give(group, payment_id, account):
            given[account] += 1
    return Filled(len(rows), given)


def _became(tx: Transaction, ids: list[str]) -> dict[str, dict[str, int]]:
    """When each payment first became authorized, paid and closed, by status."""
    among, parameter = tx.in_list(ids)
    became: dict[str, dict[str, int]] = {payment_id: {} for payment_id in ids}
    for payment_id, status, at in tx.execute(_BECAME.format(among=among), (parameter,)).fetchall():
        became[payment_id][status] = at  # the earliest comes last
    return became


def _give(group: Group, payment_id: str, account: str) -> bool:
    """Give the payment its account's name as namespace: an older payment has its reference."""
    try:
        verbs.change(group, payment_id, lambda _, __: [NamespaceGiven(namespace=account)], Source.OPERATOR)
    except LedgerCorrupt:
        return False
    return True


def _filled(payment_id: str, body: str, became: Mapping[str, int]) -> Row:
    """The values of `_FILL`; a body that can't be decoded is left as it is."""
    times = [became.get(status) for status in ("authorized", "paid", "closed")]
    try:
        payment = read_payment(payment_id, body)
    except LedgerCorrupt:
        return 0, 0, body, *times, payment_id  # `verify` reports it
    authorized_at, paid_at, closed_at = (None if at is None else from_ms(at) for at in times)
    payment = replace(payment, authorized_at=authorized_at, paid_at=paid_at, closed_at=closed_at)
    return int(is_open(payment)), int(is_listed(payment)), encode(payment).decode(), *times, payment_id


def given_namespaces(tx: Transaction) -> list[Row]:
    """Each account, and how many of its payments an upgrade has given a namespace."""
    return tx.execute(_GIVEN).fetchall()


def advice(account: str, count: int) -> str:
    """What to write into the configuration when references are repeated across accounts."""
    payments = "1 payment has a reference" if count == 1 else f"{count} payments have references"
    return (
        f"account {account}: {payments} that an older payment of another account has, and each is now in the"
        f" namespace {account!r}: find it by its reference with the account named. If the order numbers of"
        f' {account} may repeat those of other accounts, write namespace = "{account}" under [accounts.{account}]'
    )
