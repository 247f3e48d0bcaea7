"""Refunds return what was asked, once."""

from __future__ import annotations

from functools import partial

from paycore.domain.capabilities import Lookup
from paycore.domain.money import Money
from paycore.domain.payment import Payment, RefundStatus, Status
from paycore.domain.provider import Done, Found, Rejected
from paycore.testing.conformance.caller import (
    attempted,
    bought,
    can_be_found,
    given_back,
    given_back_in_the_end,
    losses,
    status_of,
)
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.moves import (
    PlacedRefund,
    accepted,
    at,
    ended,
    fail_refund,
    look_at,
    names_of,
    part_of,
    pass_time,
    patiently,
    refund,
    refund_ref,
    refunding,
    require_noticed,
    require_repeat,
    returned_minor,
    stranger,
    told_so_far,
)
from paycore.testing.conformance.rig import PlacedOrder, Rig, said
from paycore.testing.conformance.tried_currencies import amount_in, kinds_of_currency, part_in


@check(read="refunds-and-closing")
def refund_returns_what_was_asked(rig: Rig) -> None:
    """
    A refund gives back exactly its amount, and ends as succeeded.

    Once for every product that can be refunded: a part where that can be, else all of it.
    """
    for product in refunding(rig):
        placed = rig.paid(product)
        whole = placed.order.amount.minor
        made = accepted(rig, placed, part_of(placed) if product.refund == "partial" else whole)
        name = f"{product.method}/{product.channel}"
        _told_of(made, name)
        status = ended(rig, made).status
        require(
            status is RefundStatus.SUCCEEDED,
            f"{name}: a refund that the gateway took is {status} in the end",
            "map the word for a refund that is made to RefundStatus.SUCCEEDED",
        )
        _told_of(made, name)
        returned = returned_minor(rig, placed)
        require(
            returned == made.minor,
            f"{name}: of {whole} minor units {made.minor} were to be returned, and {returned} were",
            "send the refund's own amount (refund.amount), in the provider's units",
        )


@check(read="refunds-and-closing")
def refund_is_exact_in_every_kind_of_currency(rig: Rig) -> None:
    """
    A refund is exact in currencies without decimals, with two and with three, and in those with rules of their own.

    One currency of each number of decimals and pair of bounds is tried.
    """
    for product, currency in kinds_of_currency(refunding(rig)):
        amount, unit = amount_in(rig, product, currency)
        placed = rig.paid(product, amount=amount)
        minor = amount.minor if product.refund == "full" else part_in(amount, unit)
        made = accepted(rig, placed, minor)
        ended(rig, made)
        _told_of(made, currency)
        returned, told = returned_minor(rig, placed), rig.look(placed).refunded_minor
        require(
            returned == minor and told in (None, minor),
            f"{currency}: {made.order.amount} was to be returned, {Money.from_minor(returned, currency)} was, and"
            f" refunded_minor is {told}",
            "write and read a refund's amounts as create writes an order's: by the same table of units",
        )


@check(read="refunds-and-closing")
def refunds_in_part_add_up(rig: Rig) -> None:
    """
    Several refunds of one payment, each in part, are several refunds, and return all of it in the end.

    Each has a number of its own, and is told by its own amount; the payment tells their total.
    """
    (product, *_) = refunding(rig, in_part=True)
    placed = rig.paid(product)
    part, sent, ids = part_of(placed), 0, set[str | None]()
    for minor in (part, part, placed.order.amount.minor - 2 * part):
        made = accepted(rig, placed, minor)
        ended(rig, made)
        _told_of(made, f"refund after {sent} minor units")
        sent += minor
        known = None if made.seen is None else made.seen.provider_id
        require(
            known is None or known not in ids,
            f"two refunds of one payment are both told as {known}",
            "find each refund by its own number or id, not the first of its payment",
        )
        ids.add(known)
        returned = returned_minor(rig, placed)
        require(
            returned == sent,
            f"refunds of {sent} minor units in all were accepted, and {returned} were returned",
            "identify a refund by its own number (refund.number), never by the order's: it is else taken for a repeat",
        )
        told = rig.look(placed).refunded_minor
        require(
            told in (None, sent),
            f"{sent} minor units were returned, and the payment's observation says refunded_minor={told}",
            "report totals, never the last refund alone; leave refunded_minor out where the provider does not tell it",
        )


@check(read="observations")
def refunded_payment_stays_paid(rig: Rig) -> None:
    """
    A payment that was refunded whole is still paid: its refunds are counted beside it.

    A provider's word for it (refunded, reversed, cancelled) is neither closed nor failed, which promise that no money
    was ever taken.
    """
    for product in refunding(rig):
        placed = rig.paid(product)
        before = dict(placed.ids), placed.seen.provider_id
        ended(rig, accepted(rig, placed, placed.order.amount.minor))
        seen = rig.look(placed)
        require(
            seen.status is Status.PAID,
            f"{product.method}/{product.channel}: a payment is {seen.status} after it was refunded whole",
            "map the provider's word for a refunded order to Status.PAID, and tell refunded_minor",
        )
        require(
            seen.provider_id == before[1] and before[0].items() <= placed.ids.items(),
            f"its ids were {before[1]} {before[0]}, and are {seen.provider_id} {dict(seen.ids)} after the refund",
            "report the order's own id, not the refund's",
        )


@check(read="refunds-and-closing")
def refund_over_the_rest_is_refused(rig: Rig) -> None:
    """
    A refund of more than is left is refused by the provider, and nothing moves.

    The core asks for no such refund by itself, but money may have been given back in the provider's portal.
    """
    product = refunding(rig)[0]
    placed = rig.paid(product)
    whole = placed.order.amount.minor
    first = part_of(placed) if product.refund == "partial" else whole
    ended(rig, accepted(rig, placed, first))
    made = refund(rig, placed, whole - first + 1 if product.refund == "partial" else whole)
    returned = returned_minor(rig, placed)
    require(
        returned == first,
        f"{first} of {whole} minor units were returned, then {made.minor} more were asked for: {returned} were"
        " returned",
        "let the sandbox refuse it as the provider does",
    )
    _is_refused(made, "a refund of more than is left")
    _is_not_told(rig, made)


@check(read="what-an-outcome-says-about-the-money")
def refund_of_an_unknown_payment_is_refused(rig: Rig) -> None:
    """
    A refund of a payment that the provider does not know is refused.

    So it is once an account was given to another merchant. Left unknown, it would be asked about for ever.
    """
    placed = rig.paid(refunding(rig)[0])
    made = refund(rig, stranger(placed), _minor(placed))
    _is_refused(made, "a refund of a payment that the provider does not know")
    returned = returned_minor(rig, placed)
    require(
        returned == 0,
        f"it gave back {returned} minor units of another payment",
        "name the payment to refund by its own ids (refund.order), and let the sandbox look it up",
    )


@check(read="finding-an-order-again")
def repeated_refund_returns_its_money_once(rig: Rig) -> None:
    """
    A refund that is sent again with the same number returns its money once, as `refund_resend` declares.

    At once, and where a window is declared, just before its end.
    """
    resend = rig.account.capabilities.refund_resend
    product = refunding(rig)[0]
    if resend.effect == "unsafe":
        raise NotApplicable("refunds are declared unsafe to send again, so the core never does it")
    placed = rig.paid(product)
    made = accepted(rig, placed, _minor(placed))
    for rest_s in (0.0, *([max(resend.window_s - 60.0, 0.0)] if resend.window_s else [])):
        pass_time(rig, rest_s)
        again = patiently(rig, lambda attempt: rig.provider.refund(at(attempt, made.order)))
        returned = returned_minor(rig, placed)
        require(
            returned in (made.minor, 0),
            f"a refund of {made.minor} minor units was sent twice, and {returned} were returned",
            "key a refund by refund.number, the same at each send; or leave refund_resend at its default, unsafe",
        )
        require_repeat(
            again,
            resend.effect,
            f"a refund sent again after {rest_s:.0f} s",
            lambda value: made.seen is None or value.provider_id == made.seen.provider_id,
        )


@check(read="finding-an-order-again")
def refund_is_found_by_its_number_alone(rig: Rig) -> None:
    """
    Where orders are found by our number, a refund whose reply was lost is found too; one never made is absent.

    It is asked about without an id of the refund's, as it is when no reply came.
    """
    if rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        raise NotApplicable("lookup is declared by the provider's id")
    product = refunding(rig)[0]
    placed = rig.paid(product)
    made = accepted(rig, placed, _minor(placed))
    told, made.seen = made.seen, None
    seen = look_at(rig, made, is_told=False)
    require(
        seen is not None,
        "a refund that was accepted is not found by its number",
        "have query find refunds (kind='refund') by their number, where need be below their payment (ref.payment)",
    )
    require(
        seen is None or told is None or told.provider_id in (None, seen.provider_id),
        f"the refund's id was {told and told.provider_id} in the reply, and is {seen and seen.provider_id} in a query",
        "report one id of the refund, the same in every answer",
    )
    _is_told_apart(rig, made)


@check(read="after-paid")
def refund_is_told_as_far_as_it_got(rig: Rig) -> None:
    """
    A refund that the gateway has accepted and not made is pending: it has succeeded only once its money is back.

    What is said of it is compared with what the gateway has returned, at each look.
    """
    pended = False
    for product in refunding(rig):
        placed = rig.paid(product)
        made = accepted(rig, placed, placed.order.amount.minor)
        seen, returned = made.seen, returned_minor(rig, placed)
        if seen is None:  # `accepted` has seen it
            continue
        require(
            seen.status is not RefundStatus.SUCCEEDED or returned == made.minor,
            f"{product.method}/{product.channel}: the refund is said to have succeeded, and {returned} of"
            f" {made.minor} minor units were returned",
            "report RefundStatus.PENDING for a refund that was accepted only",
        )
        require(
            seen.status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED),
            f"{product.method}/{product.channel}: a refund that was accepted is {seen.status}",
            "report RefundStatus.PENDING until the provider says how it ended",
        )
        pended = pended or seen.status is RefundStatus.PENDING
        end = ended(rig, made).status
        require(
            end is RefundStatus.SUCCEEDED and returned_minor(rig, placed) == made.minor,
            f"the refund is {end} in the end, and {returned_minor(rig, placed)} minor units were returned",
            "map the word for a refund that is made to RefundStatus.SUCCEEDED, and no other",
        )
    if not pended:
        raise NotApplicable("the sandbox makes every refund at once: none is pending")


@check(read="after-paid")
def refund_that_comes_back_is_reversed(rig: Rig) -> None:
    """
    A refund that fails after it succeeded is `reversed`, and one that fails before is `failed`.

    Its money is the merchant's again, and can be refunded once more.
    """
    placed = rig.paid(refunding(rig)[0])
    made = accepted(rig, placed, placed.order.amount.minor)
    look_at(rig, made)
    before = RefundStatus.PENDING if made.seen is None else made.seen.status
    fail_refund(rig, made)
    wanted = RefundStatus.REVERSED if before is RefundStatus.SUCCEEDED else RefundStatus.FAILED
    told = look_at(rig, made)
    require(
        told is not None and told.status is wanted,
        f"a refund that was {before} failed at the gateway, and is told as {told and told.status}",
        "report RefundStatus.REVERSED for a refund that had succeeded and came back, FAILED for one that never did",
    )
    total = rig.look(placed).refunded_minor
    require(
        total in (None, returned_minor(rig, placed)),
        f"{returned_minor(rig, placed)} minor units are returned now, and refunded_minor is {total}",
        "report the total as it is now, without refunds that came back",
    )


@check(read="after-paid")
def refund_that_comes_back_is_noticed(rig: Rig) -> None:
    """
    A notification of a refund that failed after it succeeded is about that refund, or its payment.

    Nobody asks about a refund again that has succeeded.
    """
    placed = rig.paid(refunding(rig)[0])
    made = accepted(rig, placed, placed.order.amount.minor)
    if ended(rig, made).status is not RefundStatus.SUCCEEDED or made.seen is None:
        raise NotApplicable("a refund does not succeed in this sandbox")
    before = told_so_far(rig)
    fail_refund(rig, made)
    names = {made.order.number, made.seen.provider_id, *made.seen.ids.values()} | names_of(placed)
    require_noticed(rig, before, names, "a refund that came back")


@check(read="refunds-and-closing")
def refund_totals_are_those_of_the_gateway(rig: Rig) -> None:
    """
    What a client says is refunded, and can be refunded, is so at the gateway; sync and async.

    A part is refunded where that can be, then all that is left; no more is asked for after that.
    """
    product = refunding(rig)[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = bought(rig, client, product)
        parts = (payment.amount.minor * 3 // 10, None) if product.refund == "partial" else (None,)
        for index, minor in enumerate(parts):
            payment = given_back(rig, client, payment, f"{payment.reference}-{index}", minor)
            returned = rig.controls.show_order(payment.order_number)["refunded_minor"]
            require(
                payment.refunded_minor == returned
                and payment.refundable_minor == payment.paid_minor - returned,
                f"{kind}: {payment.refunded_minor} minor units are recorded as refunded,"
                f" {payment.refundable_minor} as refundable, and {returned} of {payment.paid_minor} were returned",
                "report totals in minor units, and each refund under its own number",
            )
        require(
            payment.status is Status.PAID and payment.refundable_minor == 0,
            f"{kind}: {payment.refundable_minor} minor units can be refunded after all was; it is {payment.status}",
            "report what was refunded, and leave the payment paid",
        )


@check(read="refunds-and-closing")
def refund_is_made_once_whatever_is_lost(rig: Rig) -> None:
    """
    A refund whose request or reply is lost, or answered by HTTP 500 or 502, is made once.

    Each request of the flow is met by each of these, through the sync and the async client in turn. Where the
    declaration leaves the core no way to find out, it stays for a person; else it succeeds by itself.
    """
    product = refunding(rig)[0]
    tried = rig.paid(product)
    clients = [rig.client("sync"), rig.client("async")]
    for index, loss in enumerate(losses(rig, "refund", lambda: refund(rig, tried, _minor(tried)))):
        client = clients[index % 2]
        payment = bought(rig, client, product)
        reference = f"{payment.reference}-back"
        amount = Money.from_minor(_minor(tried), payment.amount.currency)
        with loss.met(rig):
            attempted(partial(client.refund, payment.id, reference=reference, amount=amount))
        payment = given_back_in_the_end(rig, client, payment, reference, amount.minor, loss.words)
        _is_once(rig, payment, status_of(payment, reference), amount.minor, loss.words)


def _minor(placed: PlacedOrder) -> int:
    """A part of the order where it can be refunded in part, else all of it."""
    return part_of(placed) if placed.product.refund == "partial" else placed.order.amount.minor


# --- what was said ---------------------------------------------------------------------------------------


def _told_of(made: PlacedRefund, what: str) -> None:
    """What is observed of a refund is about it."""
    seen = made.seen
    if seen is None:
        return
    require(
        seen.number == made.order.number,
        f"{what}: the refund {made.order.number} is told under the number {seen.number}",
        "observe a refund under refund.number",
    )
    require(
        seen.amount in (None, made.order.amount),
        f"{what}: a refund of {made.order.amount} is told as one of {seen.amount}",
        "report the refund's own amount, or none; not the order's",
    )


def _is_refused(made: PlacedRefund, what: str) -> None:
    outcome = made.outcome
    require(
        isinstance(outcome, Rejected) and not outcome.is_duplicate,
        f"{what} returned {said(outcome)}",
        "return Rejected(failure=...) for the provider's documented refusal: it is definite that nothing moves",
    )


def _is_not_told(rig: Rig, made: PlacedRefund) -> None:
    """A refund that was refused is not told as made."""
    if made.seen is None and rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        return
    seen = look_at(rig, made)
    require(
        seen is None or seen.status is RefundStatus.FAILED,
        f"a refund that was refused is {seen and seen.status} in a query",
        "find a refund by its own number, not by that of its payment",
    )


def _is_told_apart(rig: Rig, made: PlacedRefund) -> None:
    """A refund that never was is not told, in the place of the one that is."""
    never = rig.refund_order(made.placed, made.minor)
    other = PlacedRefund(placed=made.placed, order=never, outcome=None, seen=None)
    outcome = patiently(rig, lambda attempt: rig.provider.query([refund_ref(rig, other, attempt)]))
    found = outcome.value if isinstance(outcome, Done) and isinstance(outcome.value, Found) else Found()
    require(
        isinstance(outcome, Done) and never.number not in {one.number for one in found.observations},
        f"query of a refund that was never made returned {said(outcome)}, and one of its payment was",
        "tell refunds apart by their numbers: put one that is not there into `absent`, or leave it out",
    )


def _is_once(rig: Rig, payment: Payment, status: RefundStatus, minor: int, where: str) -> None:
    """What is recorded of a refund that met a fault is what the gateway did, and it did it once."""
    returned = rig.controls.show_order(payment.order_number)["refunded_minor"]
    require(
        returned in (0, minor),
        f"{where}: a refund of {minor} minor units was asked for once, and {returned} were returned",
        "send refund.number with each send of it; declare refund_resend unsafe where the provider does not look at it",
    )
    says = {RefundStatus.SUCCEEDED: minor, RefundStatus.FAILED: 0}.get(status, returned)
    require(
        returned == says,
        f"{where}: the refund is {status}, and {returned} minor units were returned",
        "return Unknown where the answer does not say what became of a refund, and have query find it by its number",
    )
    require(
        status is RefundStatus.SUCCEEDED or not can_be_found(rig, rig.account.capabilities.refund_resend),
        f"{where}: the refund is {status} in the end; under review: {', '.join(payment.review_reasons) or 'no'}",
        "have query find the refund by its number, or let it be sent again safely, as it is declared",
    )
