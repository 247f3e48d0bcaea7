"""However much a provider reports about one order, the work is bounded and the money is known."""

from typing import Any

import msgspec
import pytest

from paycore import Money, ReviewReason, Status
from paycore.domain import bounds
from paycore.domain.bounds import CHARGES_MAX
from paycore.domain.observation import Observation
from paycore.domain.provider import Done, Found, Mention
from paycore.engine.answers import NOTICES_MAX, OBSERVATIONS_MAX, read_told
from paycore.errors import PluginError, TooMany
from paycore.testing.toy import ToyProvider
from tests.engine.by_hand import Bench
from tests.engine.test_answers import let_say, paid


def _often(times: int) -> Any:
    """The honest answer's first record this many times, each as another charge."""

    def told(outcome: Any) -> Any:
        seen: Observation = outcome.value.observations[0]
        paid_as = {"status": Status.PAID}
        records = (msgspec.structs.replace(seen, provider_id=f"C{n:05}", **paid_as) for n in range(times))
        return Done(Found(observations=tuple(records)))

    return told


def test_answer_with_thousands_of_records_of_one_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is paid and needs review; another query records nothing more."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "query", _often(3000))
    payment = bench.run(bench.commands.query(payment.id))
    assert (payment.status, len(payment.charges)) == (Status.PAID, CHARGES_MAX)
    assert payment.review_reasons == (ReviewReason.PAID_TWICE, ReviewReason.TOO_MANY_FACTS)
    assert bench.run(bench.commands.query(payment.id)).version == payment.version


def test_answer_with_more_records_than_are_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is a plugin error that gives its size, and records nothing."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "query", _often(OBSERVATIONS_MAX + 1))
    with pytest.raises(
        PluginError, match=f"at most {OBSERVATIONS_MAX} observations, got {OBSERVATIONS_MAX + 1}"
    ):
        bench.run(bench.commands.query(payment.id))
    assert bench.ledger.get(payment.id).result() == payment


def test_refund_too_many_is_refused_before_anything_is_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refund beyond the bound is not sent; an earlier one is returned unchanged."""
    monkeypatch.setattr(bounds, "REFUNDS_MAX", 3)
    payment, cent = paid(bench), Money("0.01", "HKD")

    def refund(reference: str, amount: Money | None) -> Any:
        return bench.run(bench.commands.refund(payment.id, reference=reference, amount=amount, reason=None))

    for n in range(3):
        refund(f"back-{n}", cent)
    monkeypatch.setattr(ToyProvider, "refund", None)
    with pytest.raises(TooMany, match="all that is left"):
        refund("one more", cent)
    assert len(refund("back-1", cent).refunds) == 3


def test_notification_that_tells_more_than_is_recorded_at_once(bench: Bench) -> None:
    """More observations in a notification than one transaction takes are a plugin error."""
    payment = bench.run(bench.create())
    many = tuple(Mention(number=payment.order_number) for _ in range(NOTICES_MAX + 1))
    with pytest.raises(PluginError, match=f"at most {NOTICES_MAX} notices"):
        read_told(bench.account, many)
    assert len(read_told(bench.account, many[1:])) == NOTICES_MAX
