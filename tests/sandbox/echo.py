"""A minimal sandbox: it echoes, counts its requests and has one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from paycore.sandbox.api import Document, NotPossible, SandboxOptions, UnknownOrder
from paycore.sandbox.connection import CONNECTION_FAULTS, FaultyConnection
from paycore.sandbox.control import control_routes
from paycore.sandbox.faults import FaultBoard, FaultKind
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock


class EchoGateway:
    """POST /api/echo answers its body; every call is kept in `seen` and in the state file."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.seen: list[bytes] = []
        self.is_closed = False
        self._state = StateFile(options.state, name="echo")
        self.faults = FaultBoard([*CONNECTION_FAULTS, FaultKind(name="own", help="", options={"code": "x"})])
        self.clock = SandboxClock(speed=options.speed)
        self.controls = OneOrder()
        routes = [
            Route("/api/echo", self._echo, methods=["POST"]),
            Route("/page", self._page),
            Route("/page/open", self._page, methods=["POST"]),
            *control_routes(self.controls, faults=self.faults, clock=self.clock),
        ]
        self.app: ASGIApp = FaultyConnection(Starlette(routes=routes), self.faults, covers="/api/")
        self.open_paths = ("/page/open",)
        self.settings: Mapping[str, str] = {"token": options.settings.get("token", "t")}

    async def aclose(self) -> None:
        self.is_closed = True
        self.clock.close()
        self._state.close()

    async def _echo(self, request: Request) -> Response:
        body = await request.body()
        self.seen.append(body)
        self._state.put(f"call:{len(self.seen)}", body.decode())
        return JSONResponse({"echo": body.decode()})

    async def _page(self, _request: Request) -> Response:
        return Response("page")


class OneOrder:
    """`Controls` over the one order "A1", which can be paid once."""

    def __init__(self) -> None:
        self.order: Document = {"number": "A1", "state": "unpaid", "charges": 0, "requests": 1}
        self.notified: list[tuple[str, str, float]] = []

    def list_orders(self, limit: int) -> list[Document]:
        return [self.order][:limit]

    def show_order(self, number: str) -> Document:
        if number != "A1":
            raise UnknownOrder(f"no order {number}; there is A1")
        return self.order

    def pay(self, number: str) -> Document:
        return self._change(number, "paid")

    def decline(self, number: str) -> Document:
        return self._change(number, "declined")

    def expire(self, number: str) -> Document:
        return self._change(number, "expired")

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        self.show_order(number)
        self.notified.append((number, kind, seconds))
        return {"kind": kind}

    def stats(self) -> Document:
        return {"orders": 1}

    def _change(self, number: str, state: str) -> Document:
        order = self.show_order(number)
        if order["state"] != "unpaid":
            raise NotPossible(f"order is {order['state']}")
        order["state"] = state
        return order


class EchoSandbox:
    """Opens `EchoGateway`s; `ValueError` for a setting it does not know."""

    name = "echo"

    def open(self, options: SandboxOptions) -> EchoGateway:
        if unknown := options.settings.keys() - {"token"}:
            raise ValueError(f"no setting {unknown}")
        return EchoGateway(options)


def decode(body: bytes) -> Any:
    return msgspec.json.decode(body)
