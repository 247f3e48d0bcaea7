"""Reconciling is killed at any step and run again: what it comes to is the same, and nothing is made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paycore import Client, Status
from paycore.engine.effects import Program
from tests.engine.reconcile.shops import ORDERS, Shop, reconcile

ORDER = ORDERS["stripe-checkout"]
REFERENCES = ("known", "lost-paid", "lost-refunded", "lost-open", "lost-closed")

STEPS = [3, 6, 9, 12, 15, 18]
ALL_STEPS = range(1, 40)


class Killed(BaseException):
    """The process is gone."""


def until(program: Program[Any], steps: int) -> Program[Any]:
    """The program, which ends without a trace once it has asked for so much."""
    act: Callable[[], Any] = lambda: next(program)  # noqa: E731
    for _ in range(steps):
        try:
            effect = act()
        except StopIteration as over:
            return over.value
        try:
            answer = yield effect
        except Exception as error:
            act = lambda error=error: program.throw(error)  # type: ignore[misc]  # noqa: E731
        else:
            act = lambda answer=answer: program.send(answer)  # type: ignore[misc]  # noqa: E731
    raise Killed


@pytest.fixture
def backup(stripe_shop: Shop) -> Path:
    """A backup that lacks three payments and two refunds, and does not know that a payment was paid."""
    shop = stripe_shop
    with shop.open() as pay:
        known = pay.create(reference="known", **ORDER)
    backup = shop.backup()
    with shop.open() as pay:
        shop.pay(known.order_number)
        pay.query(known.id)
        pay.refund(known.id, reference="known-back", amount=shop.price("3.00"))
        shop.paid(pay, "lost-paid")
        refunded = shop.paid(pay, "lost-refunded")
        pay.refund(refunded.id, reference="lost-back", amount=shop.price("5.00"))
        pay.create(reference="lost-open", **ORDER)
        pay.close(pay.create(reference="lost-closed", **ORDER).id)
    return backup


def state(pay: Client) -> Any:
    """What the ledger has of each payment."""
    return sorted(
        (one.reference, one.status, one.order_number, one.paid_minor, one.refunded_minor, one.review_reasons)
        for one in pay.list(limit=100)
    )


def check_whole(shop: Shop, pay: Client, expected: Any) -> None:
    """All is back once, and the same calls make nothing."""
    assert state(pay) == expected
    asked = shop.requests()
    for reference in REFERENCES:
        pay.create(reference=reference, **ORDER)
    assert shop.requests() == asked
    assert not reconcile(pay).needs_person


@pytest.fixture
def expected(stripe_shop: Shop, backup: Path) -> Any:
    """What an undisturbed run comes to."""
    stripe_shop.restore(backup)
    with stripe_shop.open() as pay:
        assert not reconcile(pay).needs_person
        whole = state(pay)
    assert [one[1] for one in whole] == [
        Status.PAID,
        Status.CLOSED,
        Status.PENDING,
        Status.PAID,
        Status.PAID,
    ]
    return whole


def killed_at(shop: Shop, backup: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a run on the restored backup is killed after so many steps, or was over before."""
    shop.restore(backup)
    with shop.open() as pay, monkeypatch.context() as patch:
        run = pay._runner.run
        patch.setattr(pay._runner, "run", lambda program: run(until(program, steps)))
        try:
            reconcile(pay)
        except Killed:
            return True
    return False


def goes_on(shop: Shop, backup: Path, expected: Any, steps: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Kill a run, and hold what a second one comes to; whether the first was killed."""
    was_killed = killed_at(shop, backup, steps, monkeypatch)
    with shop.open() as pay:
        reconcile(pay)
        check_whole(shop, pay, expected)
    return was_killed


def test_a_run_that_is_killed_is_run_again(
    stripe_shop: Shop, backup: Path, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some of its steps: reads, transactions, requests."""
    orders = stripe_shop.orders()
    killed = [goes_on(stripe_shop, backup, expected, steps, monkeypatch) for steps in STEPS]
    assert all(killed)
    assert stripe_shop.orders() == orders


@pytest.mark.proof
def test_a_run_that_is_killed_anywhere_is_run_again(
    stripe_shop: Shop, backup: Path, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of its steps."""
    killed = [goes_on(stripe_shop, backup, expected, steps, monkeypatch) for steps in ALL_STEPS]
    assert not all(killed)


@pytest.mark.proof
@pytest.mark.parametrize("after_s", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])
def test_a_process_that_is_killed_leaves_a_whole_ledger(
    stripe_shop: Shop, backup: Path, expected: Any, after_s: float, tmp_path: Path
) -> None:
    """SIGKILL of the installed command, at any time."""
    shop = stripe_shop
    shop.restore(backup)
    settings = {"base_url": shop.sandbox.url, **shop.sandbox.settings}
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    head = [f'ledger = "sqlite:///{shop.file.name}"', "[accounts.shop]", 'provider = "stripe-checkout"']
    (tmp_path / "paycore.toml").write_text("\n".join([*head, 'mode = "sandbox"', *lines]))
    words = [str(Path(sys.executable).with_name("paycore")), "reconcile", "--since", "2h"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    with shop.open() as pay:
        reconcile(pay)
        check_whole(shop, pay, expected)
