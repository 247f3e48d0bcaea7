"""A worker that can't query everything in one round gets to everything in a few."""

from paycore import Money
from paycore.domain.wire import Request, Response
from paycore.engine.checks import CreateFields, create_request
from tests.engine.conftest import NewBench

ORDERS = 3


def test_every_order_has_its_turn_at_a_slow_provider(new_bench: NewBench) -> None:
    """Where a round has time for one query, each round begins with another order."""
    bench = new_bench(batch=1)
    for number in range(ORDERS):
        request = create_request(
            CreateFields(
                reference=f"order-{number}", amount=Money("88.00", "HKD"), method="toy", channel="web"
            )
        )
        bench.run(bench.commands.create(request))
    bench.pass_time(60)
    asked = list[bytes]()

    def answer_slowly(request: Request) -> Response:
        asked.append(request.body)
        bench.pass_time(60)
        return bench.gateway.handle(request)

    bench.answer = answer_slowly
    for _ in range(ORDERS):
        bench.look_once()
    assert len(asked) == ORDERS
    assert len({*asked}) == ORDERS
