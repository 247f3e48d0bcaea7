"""
Every error paycore raises on purpose, in one tree.

```
PaycoreError
├── ConfigError                the configuration can't be used
│   └── AccountRefused         the provider refused this account's credentials or settings
├── PluginError                a plugin failed to load or broke its contract
├── RequestError               what was asked for can't be done as asked
│   ├── InvalidField           a field outside its documented bounds
│   │   └── InvalidMoney       an amount that is not exact money
│   ├── NotSupported           a capability the account's provider does not declare
│   ├── NotFound               no such payment
│   ├── ReferenceAmbiguous     the reference names several payments
│   ├── ReferenceConflict      same reference, different content
│   ├── RefundTooLarge         more than what is left of any one charge
│   ├── TooMany                the payment has the most refunds or operations it may have
│   ├── WrongState             the payment's status does not allow it
│   ├── ConsumerTaken          another process reads the change feed for this consumer
│   └── WrongLoop              an AsyncClient used on a second event loop
├── LedgerError                the durable record can't be used
│   ├── LedgerUnavailable      it can't be reached or opened
│   │   └── LedgerMissing      there is none yet
│   ├── LedgerReadOnly         it can't be written
│   ├── LedgerFull             no space left
│   ├── LedgerCorrupt          what is stored contradicts itself
│   └── LedgerTooNew           a newer paycore has upgraded it
├── ProviderError              the conversation with the provider failed
│   ├── NotSent                nothing that could move money arrived
│   ├── MaybeSent              the request may have arrived; no usable answer came
│   └── IncompleteReply        accepted, but the reply lacks what the payer needs
└── NotificationError          a notification was refused
    ├── NotAuthentic           its signature does not verify
    └── MalformedNotification  authentic or not, it can't be read
```

Declined, pending and unknown are *outcomes* and are returned, never raised. Each class answers three
questions: what happened (its docstring), who must act (`who_acts`) and whether money may have moved
(`money_moved`). Messages name accounts, fields and ids, never keys, bodies or signed URLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

Actor = Literal["caller", "operator", "author", "provider"]
MoneyMoved = Literal["no", "maybe"]


class PaycoreError(Exception):
    """
    Base of everything paycore raises on purpose.

    `payment_id` is set once the payment is in the ledger and can be found there. `money_moved` is the class's value
    unless an instance sets another one: an error in recording the outcome of a sent request is "maybe".

    All can be pickled and copied, with all attributes and notes.
    """

    who_acts: ClassVar[Actor] = "caller"
    money_moved: MoneyMoved = "no"

    def __init__(self, message: str, *, payment_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.payment_id = payment_id

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is rebuilt by calling its class with `args`, which may not fit `__init__`.
        state = self.__getstate__()
        fields, slots = state if isinstance(state, tuple) else (state, None)
        return _remade, (type(self), self.args), {**(fields or {}), **(slots or {})}


def _remade(kind: type[PaycoreError], args: tuple[Any, ...]) -> PaycoreError:
    """A new error, made without its `__init__`; pickle and copy set its attributes afterwards."""
    return kind.__new__(kind, *args)


class ConfigError(PaycoreError):
    """The configuration can't be used; the message gives the path inside the file and a suggestion."""

    who_acts: ClassVar[Actor] = "operator"


class AccountRefused(ConfigError):
    """
    The provider refused this account's credentials or settings; no money moved.

    The payment stays `created`: correct the account and call again with the same reference.
    """

    def __init__(self, message: str, *, code: str, payment_id: str | None = None) -> None:
        super().__init__(message, payment_id=payment_id)
        self.code = code


class PluginError(PaycoreError):
    """
    A plugin failed to load, or broke the provider contract.

    The message has what was raised and where in the plugin, with secrets masked. `money_moved` is "no" when that
    was before anything was sent: the payment is then unchanged.
    """

    who_acts: ClassVar[Actor] = "author"
    money_moved: MoneyMoved = "maybe"

    def __init__(self, message: str, *, plugin: str, stage: str, payment_id: str | None = None) -> None:
        super().__init__(message, payment_id=payment_id)
        self.plugin = plugin
        self.stage = stage


class RequestError(PaycoreError):
    """What was asked for can't be done as asked; nothing was sent."""


class InvalidField(RequestError):
    """A field is outside its bounds; `field` names it. Nothing was sent."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class InvalidMoney(InvalidField):
    """An amount that is not exact in its currency. Nothing was sent."""

    def __init__(self, problem: str) -> None:
        super().__init__("amount", problem)


class NotSupported(RequestError):
    """The account's provider does not declare this capability. Nothing was sent."""


class NotFound(RequestError):
    """No payment with this id or reference is in the ledger."""


class ReferenceAmbiguous(RequestError):
    """Each of `accounts` has a payment with this reference. Nothing was sent."""

    def __init__(self, reference: str, accounts: Sequence[str]) -> None:
        named = ", ".join(accounts)
        super().__init__(f"reference {reference!r} names a payment on each of {named}; name the account")
        self.reference = reference
        self.accounts = tuple(accounts)


class ReferenceConflict(RequestError):
    """
    Same reference, different content; `field` names the first difference. Nothing was sent.

    `field` is "account" where the caller named an account and the payment belongs to another one.
    """

    def __init__(self, reference: str, field: str, *, payment_id: str | None = None) -> None:
        super().__init__(
            f"reference {reference!r} already names a payment or refund whose {field} differs; "
            "use a new reference for new content",
            payment_id=payment_id,
        )
        self.reference = reference
        self.field = field


class RefundTooLarge(RequestError):
    """More than what is left of any one charge of the payment. Nothing was sent."""


class TooMany(RequestError):
    """The payment has the most refunds or operations it may have. Nothing was sent."""


class WrongState(RequestError):
    """The payment's status does not allow the command. Nothing was sent."""


class ConsumerTaken(RequestError):
    """
    Another process reads the change feed for this consumer now, and is handed what was not acknowledged.

    Raised by whoever held the consumer's lease before, after a change was handled for longer than that: the other may
    have been handed the same change, with the same key. Nothing was sent.
    """

    def __init__(self, consumer: str) -> None:
        super().__init__(
            f"another process reads the change feed for {consumer!r} now; what was not acknowledged here is handed"
            " to it, with the same keys"
        )
        self.consumer = consumer


class WrongLoop(RequestError):
    """An `AsyncClient` was used on a second event loop. Nothing was sent."""


class LedgerError(PaycoreError):
    """The ledger can't be used. What was committed before is kept."""

    who_acts: ClassVar[Actor] = "operator"


class LedgerUnavailable(LedgerError):
    """The ledger can't be reached or opened. A request that was already sent is recovered from its stored intent."""

    money_moved: MoneyMoved = "maybe"


class LedgerMissing(LedgerUnavailable):
    """There is no ledger to read yet; the first payment creates it."""

    money_moved: MoneyMoved = "no"


class LedgerReadOnly(LedgerError):
    """The ledger can't be written, so nothing new is sent."""


class LedgerFull(LedgerError):
    """No space is left, so nothing new is sent; requests in flight are recovered from their stored intent."""

    money_moved: MoneyMoved = "maybe"


class LedgerCorrupt(LedgerError):
    """The stored data contradicts itself; restore a backup, then run `paycore ledger verify`."""

    money_moved: MoneyMoved = "maybe"


class LedgerTooNew(LedgerError):
    """A newer paycore has upgraded this ledger; upgrade this installation too. Nothing new is sent."""


class ProviderError(PaycoreError):
    """The conversation with the provider failed."""

    who_acts: ClassVar[Actor] = "provider"
    money_moved: MoneyMoved = "maybe"


class NotSent(ProviderError):
    """
    Certain: nothing that could move money arrived, or the provider put the request off.

    The payment is unchanged; call again with the same reference, where the provider put it off not before
    `retry_after_s` seconds from now.
    """

    who_acts: ClassVar[Actor] = "operator"
    money_moved: MoneyMoved = "no"

    def __init__(
        self, message: str, *, payment_id: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, payment_id=payment_id)
        self.retry_after_s = retry_after_s


class MaybeSent(ProviderError):
    """The request may have arrived, but no usable answer came; `query` resolves it."""


class IncompleteReply(ProviderError):
    """
    The provider accepted the order, but its reply lacks what the payer needs to pay.

    The order is recorded; calling again with the same reference recovers the missing part.
    """


class NotificationError(PaycoreError):
    """A notification was refused; nothing changed."""

    who_acts: ClassVar[Actor] = "provider"


class NotAuthentic(NotificationError):
    """The notification's signature does not verify; nothing changed."""


class MalformedNotification(NotificationError):
    """The notification can't be read; nothing changed."""
