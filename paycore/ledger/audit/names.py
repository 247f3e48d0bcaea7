"""
Checks the rows by which payments are found.

Each number and reference must lead to its payment, and there must be no other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from paycore.domain.codec import encode
from paycore.domain.payment import Operation, Payment
from paycore.ledger.audit.payments import read_body
from paycore.ledger.audit.verdicts import Difference, Verdict, of_ledger, unequal
from paycore.ledger.clock import to_ms
from paycore.ledger.history import Readable, name_rows
from paycore.ledger.rows import provider_ids
from paycore.ledger.transaction import Row, Transaction

_OPERATION = ("id", "payment_id", "account", "kind", "number", "begun_at")
_REFUND = ("account", "reference", "payment_id", "namespace")
_CHARGE = ("account", "provider_id", "payment_id")


class Names(NamedTuple):
    """
    Rows of operations by id and of refunds by account and reference, and payments by a charge's provider id.

    `taken` has namespace and reference of refunds, `named` account, id and payment of all ids of the provider's.
    """

    operations: dict[str, dict[str, object]]
    refunds: dict[tuple[str, str], dict[str, object]]
    taken: frozenset[tuple[str | None, str]]
    charges: dict[tuple[str, str], str]
    named: frozenset[tuple[str, str, str]]


def names_of(ledger: Readable, payments: Sequence[Payment]) -> Names:
    """The rows that lead to the payments of a page. Read after the payments, so that none can be missing yet."""
    operations = [operation.id for payment in payments for operation in payment.operations]
    references = [refund.reference for payment in payments for refund in payment.refunds]
    charged = [charge.provider_id for payment in payments for charge in payment.charges]
    given = [provider_id for payment in payments for provider_id in provider_ids(payment)]

    def rows(tx: Transaction) -> list[list[Row]]:
        by_id, ids = tx.in_list(operations)
        by_reference, wanted = tx.in_list(references)
        by_charge, told = tx.in_list(charged)
        by_provider_id, called = tx.in_list(given)
        numbers = f"SELECT {', '.join(_OPERATION)} FROM operations WHERE id {by_id}"  # noqa: S608
        names = f"SELECT {', '.join(_REFUND)} FROM refunds WHERE reference {by_reference}"  # noqa: S608
        owners = f"SELECT {', '.join(_CHARGE)} FROM charges WHERE provider_id {by_charge}"  # noqa: S608
        named = f"SELECT {', '.join(_CHARGE)} FROM provider_ids WHERE provider_id {by_provider_id}"  # noqa: S608
        asked = ((numbers, ids), (names, wanted), (owners, told), (named, called))
        return [tx.execute(sql, (parameter,)).fetchall() for sql, parameter in asked]

    numbered, refunded, paid, named = ledger.read(rows).result()
    return Names(
        {row[0]: dict(zip(_OPERATION, row, strict=True)) for row in numbered},
        {(row[0], row[1]): dict(zip(_REFUND, row, strict=True)) for row in refunded},
        frozenset((namespace, reference) for _, reference, _, namespace in refunded),
        {(account, provider_id): payment_id for account, provider_id, payment_id in paid},
        frozenset((account, provider_id, payment_id) for account, provider_id, payment_id in named),
    )


def wrong_name(payment: Payment, found: Names) -> Difference | None:
    """The first number or reference of this payment that does not lead to it."""
    for operation in payment.operations:
        row = found.operations.get(operation.id)
        if row is None:
            return Difference(where="operations", stored="no row", derived=f"number {operation.number}")
        difference = unequal(row, _operation_row(payment, operation), prefix="operations ")
        if difference is not None:
            return difference
    return _wrong_refund(payment, found) or _wrong_charge(payment, found) or _wrong_id(payment, found)


def _wrong_refund(payment: Payment, found: Names) -> Difference | None:
    for refund in payment.refunds:
        row = found.refunds.get((payment.account, refund.reference))
        if row is None:
            return Difference(where="refunds", stored="no row", derived=f"reference {refund.reference}")
        # A refund whose reference another refund had first has no namespace.
        gave_up = row["namespace"] is None and (payment.namespace, refund.reference) in found.taken
        namespace = None if gave_up else payment.namespace
        difference = unequal(row, {"payment_id": payment.id, "namespace": namespace}, prefix="refunds ")
        if difference is not None:
            return difference
    return None


def _wrong_charge(payment: Payment, found: Names) -> Difference | None:
    for charge in payment.charges:
        # Only the table tells which of several payments has a provider id in a ledger of an older schema.
        if (payment.account, charge.provider_id) not in found.charges:
            return Difference(where="charges", stored="no row", derived=f"provider id {charge.provider_id}")
    return None


def _wrong_id(payment: Payment, found: Names) -> Difference | None:
    for provider_id in sorted(provider_ids(payment)):
        if (payment.account, provider_id, payment.id) not in found.named:
            return Difference(where="provider_ids", stored="no row", derived=f"provider id {provider_id}")
    return None


def _operation_row(payment: Payment, operation: Operation) -> dict[str, object]:
    return {
        "payment_id": payment.id,
        "account": payment.account,
        "kind": operation.kind.value,
        "number": operation.number,
        "begun_at": to_ms(operation.begun_at),
    }


class _Rows(NamedTuple):
    """
    A table whose rows lead to payments: a payment has those whose `key` is in `names`; `shown` names a row.

    `stay`: a row stays when its payment is called otherwise later, so it may be in an event only.
    """

    table: str
    columns: Sequence[str]
    key: Sequence[str]
    shown: str
    names: Callable[[Payment], set[tuple[str, ...]]]
    stay: bool = False


_TABLES = (
    _Rows(
        "operations", _OPERATION, ("id",), "number", lambda payment: {(one.id,) for one in payment.operations}
    ),
    _Rows(
        "refunds",
        _REFUND,
        ("account", "reference"),
        "reference",
        lambda payment: {(payment.account, one.reference) for one in payment.refunds},
    ),
    _Rows(
        "charges",
        _CHARGE,
        ("provider_id", "account"),
        "provider_id",
        lambda payment: {(one.provider_id, payment.account) for one in payment.charges},
    ),
    _Rows(
        "provider_ids",
        _CHARGE,
        ("provider_id", "account", "payment_id"),
        "provider_id",
        lambda payment: {(one, payment.account, payment.id) for one in provider_ids(payment)},
        stay=True,
    ),
)


def surplus(ledger: Readable) -> Iterator[Verdict]:
    """Rows that lead to a payment which does not have that number or reference."""
    for kind in _TABLES:
        for page in name_rows(ledger, kind.table, kind.columns, kind.key):
            yield from _surplus(ledger, kind, [dict(zip(kind.columns, row, strict=True)) for row in page])


def _surplus(ledger: Readable, kind: _Rows, rows: Sequence[dict[str, object]]) -> Iterator[Verdict]:
    ids = sorted({str(row["payment_id"]) for row in rows})

    def bodies(tx: Transaction) -> list[Row]:
        among, parameter = tx.in_list(ids)
        return tx.execute(f"SELECT id, body FROM payments WHERE id {among}", (parameter,)).fetchall()  # noqa: S608

    # Payments are read after the rows, so that a payment begun meanwhile is in both. Those that have no row or
    # can't be decoded are reported elsewhere.
    payments = ((payment_id, read_body(body)) for payment_id, body in ledger.read(bodies).result())
    names = {payment_id: kind.names(payment) for payment_id, payment in payments if payment is not None}
    for row in rows:
        own = names.get(str(row["payment_id"]))
        if own is not None and tuple(row[column] for column in kind.key) not in own:
            if kind.stay and _is_in_event(ledger, row, kind.shown):
                continue
            shown = f"{kind.shown.replace('_', ' ')} {row[kind.shown]}"
            yield of_ledger(kind.table, f"{shown} of payment {row['payment_id']}", "no row")


def _is_in_event(ledger: Readable, row: Mapping[str, object], column: str) -> bool:
    """Whether an event of the row's payment has this text of the row."""
    sql = "SELECT 1 FROM events WHERE payment_id = ? AND replace(change, ?, '') <> change LIMIT 1"
    text = encode(row[column]).decode()
    return bool(ledger.read(lambda tx: tx.execute(sql, (row["payment_id"], text)).fetchall()).result())
