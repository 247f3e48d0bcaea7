"""What planted bugs are made of: a flow whose replies are seen, or whose outcome is another one."""

from collections.abc import Callable
from typing import Any

from paycore.plugin import Failure, Flow, Rejected, Response

REFUSAL = Rejected(failure=Failure(code="refused", message="refused"))


def misread(flow: Flow[Any], instead: Callable[[Any, Response], Any]) -> Flow[Any]:
    """The flow, returning what `instead` makes of its outcome and the last reply."""
    response = Response(status=0)
    request = next(flow)
    while True:
        response = yield request
        try:
            request = flow.send(response)
        except StopIteration as stop:
            return instead(stop.value, response)
