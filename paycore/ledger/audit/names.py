"""
Checks the rows by which payments are found.

Each number and reference must lead to its payment, and there must be no other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from paycore.domain.payment import Operation, Payment
from paycore.ledger.audit.payments import read_body
from paycore.ledger.audit.verdicts import Difference, Verdict, of_ledger, unequal
from paycore.ledger.clock import to_ms
from paycore.ledger.history import Readable, name_rows
from paycore.ledger.session import Row, Transaction

_OPERATION = ("id", "payment_id", "account", "kind", "number", "begun_at")
_REFUND = ("account", "reference", "payment_id", "namespace")
_CHARGE = ("account", "provider_id", "payment_id")


class Names(NamedTuple):
    """
    Rows of operations by id and of refunds by account and reference, and payments by a charge's provider id.

    `taken` has namespace and reference of refunds.
    """

    operations: dict[str, dict[str, object]]
    refunds: dict[tuple[str, str], dict[str, object]]
    taken: frozenset[tuple[str | None, str]]
    charges: dict[tuple[str, str], str]


def names_of(ledger: Readable, payments: Sequence[Payment]) -> Names:
    """The rows that lead to the payments of a page. Read after the payments, so that none can be missing yet."""
    operations = [operation.id for payment in payments for operation in payment.operations]
    references = [refund.reference for payment in payments for refund in payment.refunds]
    charged = [charge.provider_id for payment in payments for charge in payment.charges]

    def rows(tx: Transaction) -> tuple[list[Row], list[Row], list[Row]]:
        by_id, ids = tx.in_list(operations)
        by_reference, given = tx.in_list(references)
        by_provider_id, told = tx.in_list(charged)
        numbers = f"SELECT {', '.join(_OPERATION)} FROM operations WHERE id {by_id}"  # noqa: S608
        names = f"SELECT {', '.join(_REFUND)} FROM refunds WHERE reference {by_reference}"  # noqa: S608
        owners = f"SELECT {', '.join(_CHARGE)} FROM charges WHERE provider_id {by_provider_id}"  # noqa: S608
        return tx.all(numbers, (ids,)), tx.all(names, (given,)), tx.all(owners, (told,))

    numbered, refunded, paid = ledger.read(rows).result()
    return Names(
        {row[0]: dict(zip(_OPERATION, row, strict=True)) for row in numbered},
        {(row[0], row[1]): dict(zip(_REFUND, row, strict=True)) for row in refunded},
        frozenset((namespace, reference) for _, reference, _, namespace in refunded),
        {(account, provider_id): payment_id for account, provider_id, payment_id in paid},
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
    return _wrong_refund(payment, found) or _wrong_charge(payment, found)


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


def _operation_row(payment: Payment, operation: Operation) -> dict[str, object]:
    return {
        "payment_id": payment.id,
        "account": payment.account,
        "kind": operation.kind.value,
        "number": operation.number,
        "begun_at": to_ms(operation.begun_at),
    }


def surplus(ledger: Readable) -> Iterator[Verdict]:
    """Rows that lead to a payment which does not have that number or reference."""
    yield from _surplus(
        ledger,
        "operations",
        _OPERATION,
        key=("id",),
        names=lambda payment: {operation.id for operation in payment.operations},
        name=lambda row: row["id"],
        told=lambda row: f"number {row['number']} of payment {row['payment_id']}",
    )
    yield from _surplus(
        ledger,
        "refunds",
        _REFUND,
        key=("account", "reference"),
        names=lambda payment: {(payment.account, refund.reference) for refund in payment.refunds},
        name=lambda row: (row["account"], row["reference"]),
        told=lambda row: f"reference {row['reference']} of payment {row['payment_id']}",
    )
    yield from _surplus(
        ledger,
        "charges",
        _CHARGE,
        key=("provider_id", "account"),
        names=lambda payment: {(charge.provider_id, payment.account) for charge in payment.charges},
        name=lambda row: (row["provider_id"], row["account"]),
        told=lambda row: f"provider id {row['provider_id']} of payment {row['payment_id']}",
    )


def _surplus(
    ledger: Readable,
    table: str,
    columns: Sequence[str],
    *,
    key: Sequence[str],
    names: Callable[[Payment], set[Any]],
    name: Callable[[dict[str, object]], Any],
    told: Callable[[dict[str, object]], str],
) -> Iterator[Verdict]:
    for page in name_rows(ledger, table, columns, key):
        rows = [dict(zip(columns, row, strict=True)) for row in page]
        # Payments are read after the rows, so that a payment begun meanwhile is in both.
        known = _names_by_payment(ledger, {str(row["payment_id"]) for row in rows}, names)
        for row in rows:
            own = known.get(str(row["payment_id"]))
            if own is not None and name(row) not in own:
                yield of_ledger(table, told(row), "no row")


def _names_by_payment(
    ledger: Readable, ids: set[str], names: Callable[[Payment], set[Any]]
) -> dict[str, set[Any]]:
    """
    The names of each payment.

    Payments that have no row or can't be decoded are reported elsewhere.
    """

    def bodies(tx: Transaction) -> list[Row]:
        among, parameter = tx.in_list(sorted(ids))
        return tx.all(f"SELECT id, body FROM payments WHERE id {among}", (parameter,))  # noqa: S608

    known = ((payment_id, read_body(body)) for payment_id, body in ledger.read(bodies).result())
    return {payment_id: names(payment) for payment_id, payment in known if payment is not None}
