"""Refunds are found and told, and sent again only where that is safe."""

from __future__ import annotations

from paycore.domain.capabilities import Lookup
from paycore.domain.money import Money
from paycore.domain.payment import Payment, RefundStatus
from paycore.domain.provider import Done, Found
from paycore.testing.conformance.caller import (
    attempted,
    bought,
    can_be_found,
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
    part_or_whole,
    pass_time,
    patiently,
    refund,
    refund_ref,
    refunding,
    require_noticed,
    require_repeat,
    returned_minor,
    told_so_far,
)
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig


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
    made = accepted(rig, placed, part_or_whole(placed))
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
    made = accepted(rig, placed, part_or_whole(placed))
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
            seen.status is not RefundStatus.SUCCEEDED or not _is_waiting(rig, made),
            f"{product.method}/{product.channel}: the refund is said to have succeeded, and the sandbox shows it as"
            " pending",
            "report RefundStatus.PENDING for a refund that was accepted only, and let the sandbox count in"
            " refunded_minor what is done",
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
        raise NotApplicable(
            "no refund was told as pending, and the gateway's refunded_minor counted each at once. If the company's"
            " refunds take time, let the sandbox count one once it is done (takes_s of ScriptedGateway.refund)"
        )


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
def refund_is_made_once_whatever_is_lost(rig: Rig) -> None:
    """
    A refund whose request or reply is lost, or answered by HTTP 500 or 502, is made once.

    Each request of the flow is met by each of these, through the sync and the async client in turn. Where the
    declaration leaves the core no way to find out, it stays for a person; else it succeeds by itself.
    """
    product = refunding(rig)[0]
    tried = rig.paid(product)
    clients = [rig.client("sync"), rig.client("async")]
    for index, loss in enumerate(losses(rig, "refund", lambda: refund(rig, tried, part_or_whole(tried)))):
        client = clients[index % 2]
        payment = bought(rig, client, product)
        reference = f"{payment.reference}-back"
        amount = Money.from_minor(part_or_whole(tried), payment.amount.currency)
        with loss.met(rig):
            attempted(client.refund, payment.id, reference=reference, amount=amount)
        payment = given_back_in_the_end(rig, client, payment, reference, amount.minor, loss.words)
        _is_once(rig, payment, status_of(payment, reference), amount.minor, loss.words)


# --- inside ------------------------------------------------------------------------------------------------


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


def _is_waiting(rig: Rig, made: PlacedRefund) -> bool:
    """Whether the sandbox shows this refund among its order's as pending; many show none of them."""
    names = {made.order.number, made.seen and made.seen.provider_id}
    shown = rig.controls.show_order(made.placed.order.number).get("refunds")
    return any(
        one.get("state") == "pending" and not names.isdisjoint({one.get("number"), one.get("id")})
        for one in (shown if isinstance(shown, list) else ())
        if isinstance(one, dict)
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
