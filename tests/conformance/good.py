"""Toys that are right: between them every check applies to one."""

from collections.abc import Mapping
from typing import Any

import msgspec

from paycore.plugin import Capabilities, Mode, Provider
from paycore.sandbox.api import SandboxOptions
from paycore.testing import Subject
from paycore.testing.toy import SessionToyProvider, ToyGateway, ToyProvider, ToySettings
from paycore.testing.toy.toy_sandbox import ToySandbox


class HostedToy(ToyProvider):
    """A toy with hosts of its own in test and live mode."""

    info = msgspec.structs.replace(
        ToyProvider.info,
        base_urls={"test": "https://test.toy.example", "live": "https://live.toy.example"},
        hosts={
            "status": {"test": "https://status.test.toy.example", "live": "https://status.live.toy.example"}
        },
        live_hosts=frozenset({"live.toy.example", ".live.toy.example"}),
    )

    @staticmethod
    def base_urls_of(settings: ToySettings, mode: Mode) -> Mapping[str, str]:
        """See `FullProvider`."""
        del settings
        return {"": "https://shop.live.toy.example"} if mode == "live" else {}


class WholeToy(ToyProvider):
    """A toy whose refunds are whole."""

    @property
    def capabilities(self) -> Capabilities:
        """See `Provider`."""
        known = super().capabilities
        whole = tuple(msgspec.structs.replace(product, refund="full") for product in known.products)
        return msgspec.structs.replace(known, products=whole)


class ReversingGateway(ToyGateway):
    """Gives the money back where an order is closed that was paid, as a till does."""

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        for order in self._own():
            if order.number == fields["number"] and order.status == "paid":
                order.status = "closed"
        return super()._close(fields)


class KeyedToy(ToyProvider):
    """A toy whose key says whether it is for a test: both modes share a host."""

    info = msgspec.structs.replace(
        ToyProvider.info,
        base_urls={"test": "https://live.toy.example", "live": "https://live.toy.example"},
        live_hosts=frozenset({"live.toy.example"}),
        sample={"key": "toy-key-0000"},
    )

    @staticmethod
    def mode_of(settings: ToySettings) -> Mode | None:
        """See `FullProvider`."""
        return "test" if settings.key[0].reveal().startswith("toy-key-") else "live"


class WinsNothing(ToySandbox):
    """Has no control that wins a charge back: the company documents none."""

    def open(self, options: SandboxOptions) -> Any:
        """See `Sandbox`."""
        gateway: Any = super().open(options)
        gateway.win_charge_back = None
        return gateway


def toy(
    provider: type[Provider] = ToyProvider, sandbox: ToySandbox | None = None, **settings: Any
) -> Subject:
    """A toy with these settings of its account."""
    return Subject(provider=provider, sandbox=sandbox or ToySandbox(), settings=settings)


GOOD = {
    "plain": toy(),
    "capturing": toy(captures="partial", list_page=100),
    "by id": toy(
        sandbox=ToySandbox(duplicates="same_result", mentions=True, window_s=3600.0),
        lookup="by_provider_id",
        captures="full",
        create_resend="same_result",
        capture_resend="same_result",
        refund_resend="same_result",
        window_s=3500.0,
        mentions=True,
        batch=1,
    ),
    "whole": toy(
        WholeToy,
        ToySandbox(gateway=ReversingGateway),
        lookup="by_provider_id",
        create_resend="unsafe",
        captures="partial",
    ),
    "slow refunds": toy(sandbox=ToySandbox(refund_takes_s=100_000.0)),
    "never won": toy(sandbox=WinsNothing()),
    "till": toy(scans=True),
    "batches": toy(
        sandbox=ToySandbox(times=True, batches=True), tolerance_s=300.0, notifications_trusted=False
    ),
    "hosted": toy(HostedToy),
    "keyed": toy(KeyedToy),
    "session": toy(SessionToyProvider, ToySandbox("toy-session", needs_token=True, token_lasts_s=3600.0)),
}
"""What lacks something in one has it in another."""
