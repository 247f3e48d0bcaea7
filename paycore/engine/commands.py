"""
The commands of the clients, as programs: from intent to outcome.

A reference names one payment for ever: a second caller waits for the first one's request, and completes what it
left unfinished.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from paycore.domain import capturing, decisions, findings, refunding, returning, review
from paycore.domain.events import Change, Finding, PaymentBegun, Source
from paycore.domain.money import Money
from paycore.domain.payment import (
    Operation,
    OperationState,
    Payment,
    ReviewReason,
    Status,
    capture_of,
    close_of,
    refund_operation,
)
from paycore.domain.provider import Secret
from paycore.domain.reconciliation import Reconciliation
from paycore.domain.schedule import is_awaited
from paycore.domain.wire import Notification
from paycore.engine.accounts import Account, Accounts
from paycore.engine.arguments import FoundByHand
from paycore.engine.attempts import Attempts
from paycore.engine.checks import (
    CreateRequest,
    by_method,
    check_money,
    check_reason,
    check_reference,
    check_request,
    ignored_fields,
    plain,
)
from paycore.engine.contract import ask
from paycore.engine.effects import Pause, Program, UntilChanged, in_ledger
from paycore.engine.orders import content_of, product_of, provider_order
from paycore.engine.provider_list import Listing
from paycore.engine.receiving import Received, Receiving
from paycore.engine.reconciled import Books
from paycore.engine.reconciling import Reconciling
from paycore.engine.recovery import Recovery
from paycore.engine.secrecy import harmless, holds_secret, mask
from paycore.engine.telling import TRACING, Given, operations_log, telling
from paycore.engine.timing import Deadline, Timed
from paycore.errors import (
    ConfigError,
    InvalidField,
    NotSent,
    PaycoreError,
    PluginError,
    ReferenceConflict,
    RequestError,
)
from paycore.ledger.api import Decide

P = ParamSpec("P")
S = TypeVar("S", bound="Commands")
T = TypeVar("T")


def _told(
    verb: str, given: Callable[..., Given]
) -> Callable[[Callable[Concatenate[S, P], Program[T]]], Callable[Concatenate[S, P], Program[T]]]:
    """Have a command tell what came of it, under this name, where somebody listens; `given` reads its arguments."""

    def decorate(command: Callable[Concatenate[S, P], Program[T]]) -> Callable[Concatenate[S, P], Program[T]]:
        def begun(self: S, /, *args: P.args, **options: P.kwargs) -> Program[T]:
            program = command(self, *args, **options)
            listening = self._attempts.listening
            is_heard = listening.counter is not None or operations_log.isEnabledFor(logging.INFO)
            if not is_heard and TRACING not in sys.modules:
                return program
            return telling(verb, program, given(*args, **options), listening.counter)

        begun.__doc__, begun.__name__ = command.__doc__, command.__name__
        return begun

    return decorate


PAUSED_PART = 0.75
"""The part of its time left that a call may pause for; the rest is for the answer."""

AGAIN_AFTER_S = 1.0
"""The least pause before a call is made again, whatever time its provider names; twice as long each further time."""


class Commands:
    """What the clients' verbs do: create, capture, wait, query, refund, close, receive, and an operator's findings."""

    def __init__(self, accounts: Accounts, attempts: Attempts, recovery: Recovery) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._recovery = recovery
        self._receiving = Receiving(accounts, attempts)

    @_told("create", lambda request: Given(account=request.account, reference=request.order.reference))
    def create(self, request: CreateRequest) -> Program[Payment]:
        """Make the payment, or come back with the one this reference already names."""
        try:
            account = self._accounts.get(request.account).with_code(request.auth_code)
            begun = self._beginning(request, account)
        except (RequestError, ConfigError) as refusal:
            return (yield from self._known_all_the_same(request, refusal))
        return (yield from _in_time(account, partial(self._begin_or_join, request, begun)))

    def _begin_or_join(
        self, request: CreateRequest, begun: Callable[[datetime], PaymentBegun], account: Account
    ) -> Program[Payment]:
        timed = Timed(begun, account.deadline)
        committed = yield from self._attempts.commit(
            lambda ledger: ledger.begin(request.order.reference, timed, account.spending)
        )
        if committed.events:
            creation = committed.payment.creation
            payment = yield from self._attempts.send(account, committed, creation.id, timed)
            return (yield from self._captured_if_due(account, payment))
        return (yield from self._join(committed.payment, request))

    def _beginning(self, request: CreateRequest, account: Account) -> Callable[[datetime], PaymentBegun]:
        """The payment as it would begin, once the account can make it."""
        request = by_method(request, account)
        product = check_request(request, account)
        ignored = ignored_fields(request.order, product)
        numbering, payment_id = self._attempts.numbering(), self._attempts.new_id()
        order, now = content_of(request, account.name), self._attempts.now()
        attempt = account.attempt(now, numbering.nonce)
        offered = provider_order(
            order, numbering.number, now, attempt, auth_code=account.auth_code, ignored=ignored
        )
        check = getattr(account.provider, "check", None)
        if check is not None:
            ask(account, "check", partial(check, offered), may_raise=(RequestError,))
        return partial(
            decisions.begin_payment,
            payment_id=payment_id,
            account=account.name,
            provider=account.provider_name,
            namespace=account.namespace,
            order=order,
            numbering=numbering,
            deadline=account.deadline,
            needs_action=product.needs_action,
            ignored=ignored,
        )

    @_told("query", lambda payment_id: Given(payment_id=payment_id))
    def query(self, payment_id: str) -> Program[Payment]:
        """Query the provider, and resolve what is unknown about the payment."""
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        account = self._account_of(payment)
        resolve = partial(self._recovery.resolve_in_time, payment=payment)
        return (yield from _in_time(account, resolve))

    @_told("refund", lambda payment_id, *, reference, **_: Given(payment_id=payment_id, refund=reference))
    def refund(
        self, payment_id: str, *, reference: str, amount: Money | None, reason: str | None
    ) -> Program[Payment]:
        """Give back `amount` (None: all that is left), once per reference."""
        check_reference(reference)
        if amount is not None:
            check_money(amount)
        if reason is not None:
            check_reason(reason)
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        account = self._account_of(payment)
        begin = partial(
            refunding.begin_refund,
            reference=plain(reference),
            amount=amount,
            reason=plain(reason),
            product=product_of(account, payment),
            numbering=self._attempts.numbering(),
        )
        return (yield from _in_time(account, partial(self._refund, payment_id, reference, begin)))

    def _refund(
        self, payment_id: str, reference: str, begin: Callable[..., Sequence[Change]], account: Account
    ) -> Program[Payment]:
        timed = Timed(partial(begin, deadline=account.deadline), account.deadline)
        committed = yield from self._attempts.change(payment_id, timed, Source.CALLER, account.spending)
        operation = refund_operation(committed.payment, reference)
        if committed.events:
            return (yield from self._attempts.send(account, committed, operation.id, timed))
        payment, operation = yield from self._answered(account, committed.payment, operation)
        refund = payment.refund(reference)
        if refund is not None and (refund.is_open or operation.is_uncertain):
            return (yield from self._recovery.resolve_in_time(account, payment))
        return payment

    @_told("capture", lambda payment_id, **_: Given(payment_id=payment_id))
    def capture(self, payment_id: str, *, amount: Money | None) -> Program[Payment]:
        """Take `amount` (None: all) of what is authorized, once."""
        if amount is not None:
            check_money(amount)
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        account = self._account_of(payment)
        begin = partial(
            capturing.begin_capture,
            amount=amount,
            product=product_of(account, payment),
            numbering=self._attempts.numbering(),
        )
        return (yield from _in_time(account, partial(self._capture, payment_id, begin)))

    def _capture(
        self, payment_id: str, begin: Callable[..., Sequence[Change]], account: Account
    ) -> Program[Payment]:
        timed = Timed(partial(begin, deadline=account.deadline), account.deadline)
        committed = yield from self._attempts.change(payment_id, timed, Source.CALLER, account.spending)
        operation = capture_of(committed.payment, committed.payment.order_number)
        if operation is None:
            return committed.payment  # paid without one
        if committed.events:
            return (yield from self._attempts.send(account, committed, operation.id, timed))
        payment, operation = yield from self._answered(account, committed.payment, operation)
        if operation.is_uncertain or payment.status is Status.AUTHORIZED:
            return (yield from self._recovery.resolve_in_time(account, payment))
        return payment

    @_told("returned", lambda payment_id, _: Given(payment_id=payment_id))
    def returned(self, payment_id: str, params: Mapping[str, str]) -> Program[Payment]:
        """Keep what the payer came back with, and query the provider with it at once."""
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        account = self._account_of(payment)
        kept = {mask(name, account.secrets): mask(value, account.secrets) for name, value in params.items()}
        payment = yield from self._decide(payment_id, partial(returning.bring_back, params=kept))
        if payment.status.is_final:
            return payment
        resolve = partial(self._recovery.resolve, payment=payment, source=Source.QUERY)
        return (yield from _in_time(account, resolve))

    @_told("acknowledge", lambda payment_id, *_: Given(payment_id=payment_id))
    def acknowledge(self, payment_id: str, reason: ReviewReason, finding: Finding) -> Program[Payment]:
        """An operator has looked at the payment for this reason."""
        secrets = yield from self._secrets_of(payment_id)
        decide = partial(review.acknowledge, reason=reason, finding=_without_secrets(finding, secrets))
        return (yield from self._decide(payment_id, decide, Source.OPERATOR))

    @_told("record", lambda payment_id, _: Given(payment_id=payment_id))
    def record(self, payment_id: str, given: FoundByHand) -> Program[Payment]:
        """An operator has found out at the provider what no query tells."""
        secrets = yield from self._secrets_of(payment_id)
        if given.provider_id is not None and holds_secret(given.provider_id, secrets):
            raise InvalidField("provider_id", "has a secret of the account in it")
        decide = partial(
            findings.record_finding,
            found=given.found,
            finding=_without_secrets(given.finding, secrets),
            provider_id=given.provider_id,
            refund=given.refund,
        )
        return (yield from self._decide(payment_id, decide, Source.OPERATOR))

    def _decide(self, payment_id: str, decide: Decide, source: Source = Source.CALLER) -> Program[Payment]:
        """Record what is decided on the payment as it stands; nothing is sent, so an error says that none moved."""
        try:
            return (yield from self._attempts.change(payment_id, decide, source)).payment
        except PaycoreError as error:
            error.money_moved = "no"
            raise

    def _secrets_of(self, payment_id: str) -> Program[Sequence[Secret]]:
        """The secrets of the payment's account, none where the configuration does not have that any more."""
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        try:
            return self._account_of(payment).secrets
        except (ConfigError, PluginError):
            return ()

    @_told("close", lambda payment_id: Given(payment_id=payment_id))
    def close(self, payment_id: str) -> Program[Payment]:
        """Cancel the unpaid order; only the provider's answer closes the payment."""
        payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
        return (yield from _in_time(self._account_of(payment), partial(self._close, payment)))

    def _close(self, payment: Payment, account: Account) -> Program[Payment]:
        if not decisions.can_be_found(payment.creation, account.capabilities.lookup):
            payment = yield from self._recovery.resolve(account, payment, source=Source.QUERY)
        payment = yield from self._recovery.close_order(account, payment, Source.CALLER)
        if payment.status.is_final:
            return payment
        closing = close_of(payment, payment.order_number)
        if closing is not None:
            self._attempts.check_put_off(account, payment, closing)
        # Refused, or without an answer: perhaps it was paid meanwhile.
        return (yield from self._recovery.resolve(account, payment, source=Source.QUERY))

    def provider_list(self, account_name: str | None, since: datetime, until: datetime) -> Listing:
        """The provider's own list of what was made in [since, until)."""
        return Listing(self._accounts.get(account_name), self._attempts, since, until)

    @_told("reconcile", lambda account, *_, **__: Given(account=account))
    def reconcile(
        self, account_name: str | None, since: datetime, until: datetime, *, bring_back: bool | None
    ) -> Program[Reconciliation]:
        """The ledger against the provider's own list of what was made in [since, until)."""
        account = self._accounts.get(account_name)
        others = self._accounts.with_other_references(account)
        books = Books(account, since, until, brings_back=bring_back, others=others)
        return (yield from Reconciling(self._attempts, self._recovery, books).run())

    @_told("wait", lambda payment_id, _: Given(payment_id=payment_id))
    def wait(self, payment_id: str, timeout_s: float) -> Program[Payment]:
        """
        The payment once it and its refunds are final or it needs review, or in whatever state it is at the timeout.

        At once when it is left to its caller to send it.
        """
        deadline = Deadline(timeout_s)
        while True:
            payment = yield from in_ledger(lambda ledger: ledger.get(payment_id), deadline)
            if not is_awaited(payment) or deadline.left_s <= 0:
                return payment
            changed = UntilChanged(payment_id, payment.version, deadline.left_s, payment.account)
            del payment  # many may wait
            yield changed

    @_told("receive", lambda account, _: Given(account=account))
    def receive(self, account_name: str, notification: Notification) -> Program[Received]:
        """See `Receiving.receive`."""
        return (yield from self._receiving.receive(account_name, notification))

    # --- a reference that already names a payment ---------------------------------------------------------

    def _known_all_the_same(
        self, request: CreateRequest, refusal: RequestError | ConfigError
    ) -> Program[Payment]:
        """What the defaults can't make may be there already, by what was the default account or method before."""
        if request.account is not None and not request.leaves_method:
            raise refusal
        account = self._accounts.config.account(request.account)
        found = yield from in_ledger(lambda ledger: ledger.find(None, request.order.reference))
        known = decisions.named(found, account.name, account.namespace)
        if known is None or _first_difference(known, request) is not None:
            raise refusal
        if known.account == account.name and not request.leaves_method:
            raise refusal
        return (yield from self._join(known, request))

    def _join(self, payment: Payment, request: CreateRequest) -> Program[Payment]:
        """The payment this reference already names: wait for its sender, or finish what was left."""
        field = _first_difference(payment, request)
        if field is not None:
            raise ReferenceConflict(payment.reference, field, payment_id=payment.id)
        account = self._account_of(payment).with_code(request.auth_code)
        payment = yield from self._until_answered(payment, payment.creation.id)
        creation = payment.creation
        if creation.state is OperationState.INTENT:
            self._attempts.check_put_off(account, payment, creation)
            payment = yield from self._recovery.send_again(account, payment, creation.id)
            return (yield from self._captured_if_due(account, payment))
        if payment.status is Status.CREATED and creation.state is OperationState.REJECTED:
            payment = yield from self._recovery.renumber(account, payment)
            return (yield from self._captured_if_due(account, payment))
        if creation.is_uncertain:
            return (yield from self._recovery.resolve_in_time(account, payment))
        return (yield from self._captured_if_due(account, payment))

    def _captured_if_due(self, account: Account, payment: Payment) -> Program[Payment]:
        """The payment; captured first, where the payer has agreed and it is to be captured at once."""
        if payment.status is not Status.AUTHORIZED:
            return payment
        return (yield from self._recovery.complete(account, payment))

    def _answered(
        self, account: Account, payment: Payment, operation: Operation
    ) -> Program[tuple[Payment, Operation]]:
        """
        The payment once an operation that was begun before has its answer, as far as waiting brings one.

        Raises `NotSent` when it was put off by the provider, and its time has not come.
        """
        payment = yield from self._until_answered(payment, operation.id)
        operation = payment.operation(operation.id)
        self._attempts.check_put_off(account, payment, operation)
        return payment, operation

    def _account_of(self, payment: Payment) -> Account:
        """The account the payment is pinned to; `ConfigError` when the configuration has it no more."""
        if payment.account not in self._accounts:
            raise ConfigError(
                f"{self._accounts.config.path}: accounts.{payment.account}: missing; payment {payment.id} is that"
                " account's, whichever is the default one: write it again, under that name",
                payment_id=payment.id,
            )
        return self._accounts.get(payment.account)

    def _until_answered(self, payment: Payment, operation_id: str) -> Program[Payment]:
        """Wait for the answer to a request that another caller is sending; there is one provider call."""
        while (operation := payment.operation(operation_id)).state is OperationState.SENT:
            left_s = (operation.in_flight_until - self._attempts.now()).total_seconds()
            if left_s <= 0:
                break
            payment = yield from self._attempts.after_change(payment, left_s)
        return payment


def _in_time(account: Account, call: Callable[[Account], Program[T]]) -> Program[T]:
    """
    What a call comes to; made again where its turn or its provider's time comes within the call's own time.

    Raises `NotSent` when it does not. A call that is made again finds what it has recorded, and goes on with it.
    """
    deadline, least_s = account.call_deadline(), AGAIN_AFTER_S
    while True:
        try:
            return (yield from call(account))
        except NotSent as error:
            pause_s = max(least_s, error.retry_after_s or 0.0)
            if not error.retry_after_s or pause_s > deadline.left_s * PAUSED_PART:
                raise
        yield Pause(pause_s)
        account, least_s = account.within(deadline.left_s), 2 * least_s


def _without_secrets(finding: Finding, secrets: Sequence[Secret]) -> Finding:
    return Finding(by=harmless(finding.by, secrets), note=harmless(finding.note, secrets))


def _first_difference(payment: Payment, request: CreateRequest) -> str | None:
    """The first field in which the request is not the payment; account and method count where they were named."""
    if request.account not in (None, payment.account):
        return "account"
    given = content_of(request.with_method(payment.method), payment.account)
    return decisions.first_difference(payment.order, given, payment.untold)
