"""A worker that can't query everything in one round gets to everything in a few."""

from paycore import Status
from paycore.domain.wire import Request, Response
from tests.engine.conftest import NewBench
from tests.engine.test_budget import created

ORDERS = 3


def test_every_order_has_its_turn_at_a_slow_provider(new_bench: NewBench) -> None:
    """Where a round has time for one query, each round begins with another order."""
    bench = new_bench(batch=1)
    for number in range(ORDERS):
        created(bench, f"order-{number}")
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


def test_list_that_is_refused_holds_up_no_payment(new_bench: NewBench) -> None:
    """Where an account may not read its list, or its plugin fails at it, orders are asked about by number."""
    bench = new_bench(batch=1, list_page=100)
    payments = [created(bench, f"order-{number}") for number in range(ORDERS)]
    for payment in payments:
        bench.gateway.pay(payment.order_number)
    lists = 0

    def refuse_the_list(request: Request) -> Response:
        nonlocal lists
        if request.path != "/list":
            return bench.gateway.handle(request)
        lists += 1
        return Response(status=200, body=b'{"error": "account", "message": "no right to it"}')

    bench.answer = refuse_the_list
    bench.pass_time(5)
    bench.work(30)
    assert lists == 1
    found = [bench.ledger.get(payment.id).result().status for payment in payments]
    assert found == [Status.PAID] * ORDERS


def test_list_that_never_answers_holds_up_no_payment(new_bench: NewBench) -> None:
    """Where queries are answered and pages never, orders are asked about by number, and pages once a minute."""
    bench = new_bench(batch=1, list_page=100)
    payments = [created(bench, f"order-{number}") for number in range(ORDERS)]
    lists = 0

    def lose_the_list(request: Request) -> Response:
        nonlocal lists
        if request.path != "/list":
            return bench.gateway.handle(request)
        lists += 1
        return Response(status=404)

    bench.answer = lose_the_list
    bench.pass_time(5)
    bench.work(20)
    for payment in payments:
        bench.gateway.pay(payment.order_number)
    bench.work(20)
    found = [bench.ledger.get(payment.id).result().status for payment in payments]
    assert found == [Status.PAID] * ORDERS
    assert lists == 2
