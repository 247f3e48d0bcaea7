"""A run in which the first request of every step goes wrong: all of it is recovered, and nothing moves twice."""

import pytest

from paycore import Client
from paycore.cli.endings import Exit
from paycore.cli.options import GlobalOptions
from paycore.cli.smoke.payers import SandboxPayer
from paycore.cli.smoke.problems import Advisor
from paycore.cli.smoke.selection import SmokeOptions
from paycore.cli.smoke.smoke_run import SmokeRun
from paycore.cli.smoke.step_results import StepResult, worst
from tests.cli.smoke.shops import CREATING, Shops
from tests.cli.smoke.test_passing import expected

pytestmark = pytest.mark.proof


class Planting:
    """Plants a fault for the first request of each step."""

    def __init__(self, shops: Shops, fault: str) -> None:
        self._shops = shops
        self._fault = fault

    def begin(self, account: str, step: str) -> None:
        """Plant it, where the one of the step before was met."""
        board = self._shops[account].gateway.faults
        if not board.active():
            board.add(self._fault)

    def end(self, result: StepResult) -> None:
        """Nothing is to be told."""


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request"])
@pytest.mark.parametrize("account", list(CREATING))
def test_fault_in_every_step_is_recovered(shops: Shops, account: str, fault: str) -> None:
    """Every step passes, one charge was made and all of it went back, and nothing is uncertain."""
    shops.configure(account, timeout_s=2)
    known = len(shops.orders(account))
    with Client() as pay:
        (info,) = pay.accounts()
        run = SmokeRun(
            pay,
            info,
            Planting(shops, fault),
            Advisor(GlobalOptions(), account),
            step_timeout_s=60,
            call_timeout_s=2,
        )
        run.run(SmokeOptions(), SandboxPayer(pay, shops[account].url))
        payments = pay.list(reference_prefix=run.reference)
    assert {one.step: one.verdict for one in run.results} == expected(account), run.results
    assert worst(run.results) is Exit.DONE
    assert not any(payment.uncertain or payment.review for payment in payments)
    made = {tuple(order["orders"]): order for order in shops.orders(account)[known:]}
    assert [order["charges"] for order in made.values() if order["charges"]] == [1]
    assert sum(order["paid_minor"] for order in made.values()) == sum(
        order["refunded_minor"] for order in made.values()
    )
    if account != "paypal":  # where a payer may still agree to what nobody captures
        shops.clear_faults()
        assert shops.payable(account) == []
