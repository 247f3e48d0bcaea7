"""
Writes what a migration can't write by SQL, because it follows from the decoded payment: columns, and bodies anew.

The schema file leaves NULL in `open`. Such rows are written in pages when the ledger is opened, so a process that
dies meanwhile loses nothing, and a ledger may have any size.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from paycore.domain.codec import encode
from paycore.domain.events import NamespaceGiven, Source
from paycore.domain.payment import is_open
from paycore.errors import LedgerCorrupt
from paycore.ledger import verbs
from paycore.ledger.group import Group
from paycore.ledger.rows import read_payment
from paycore.ledger.transaction import Row, Transaction

PAGE = 500

# Locked: another process that opens the ledger may have filled the page first, and gone on with its payments.
_LEFT = "SELECT id, body, account, namespace FROM payments WHERE open IS NULL ORDER BY id LIMIT ?"
_FILL = "UPDATE payments SET open = ?, body = ?, namespace = coalesce(namespace, account) WHERE id = ?"
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
    filled: list[Row] = []
    for payment_id, body, account, namespace in rows:
        if namespace is None and _give(group, payment_id, account):
            given[account] += 1
        else:
            filled.append((*_read(payment_id, body), payment_id))
    if filled:
        tx.executemany(_FILL, filled)
    return Filled(len(rows), given)


def _give(group: Group, payment_id: str, account: str) -> bool:
    """Give the payment its account's name as namespace: an older payment has its reference."""
    try:
        verbs.change(group, payment_id, lambda _, __: [NamespaceGiven(namespace=account)], Source.OPERATOR)
    except LedgerCorrupt:
        return False
    return True


def _read(payment_id: str, body: str) -> tuple[int, str]:
    """Whether the payment is open, and its body as written today; one that can't be decoded is left as it is."""
    try:
        payment = read_payment(payment_id, body)
    except LedgerCorrupt:
        return 0, body  # `verify` reports it
    return int(is_open(payment)), encode(payment).decode()


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
