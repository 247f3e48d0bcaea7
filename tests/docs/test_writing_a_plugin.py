"""The providers printed in docs/writing-a-plugin.md and docs/a-complete-provider.md work when run as printed."""

import re
import subprocess
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Client, Money, Payment, Redirect, RefundStatus, Status
from paycore.engine.plugins import Plugins
from paycore.errors import AccountRefused, ConfigError, InvalidField, NotAuthentic, NotSupported
from paycore.plugin import CreateOrder, Done, Rejected, Response, Unknown
from paycore.sandbox.scripted import ScriptedSandbox
from paycore.testing import Subject, check_provider
from tests.docs.acme import KEY, MERCHANT, Gateway, acme_gateway
from tests.docs.acme_sandbox import AcmeGateway
from tests.docs.pages import ROOT, blocks, compiled

GUIDE = ROOT / "docs/writing-a-plugin.md"
PAGE = ROOT / "docs/a-complete-provider.md"
CONFIG = """
ledger = "sqlite:///shop.db"

[accounts.shop]
provider = "acme"
mode = "sandbox"
base_url = "{url}"
timeout_s = 1
merchant = "{merchant}"
key = "{key}"
"""


@pytest.fixture
def page() -> Iterator[types.ModuleType]:
    """The page's Python blocks, run in order, as one module."""
    module = types.ModuleType("paycore_acme")
    sys.modules[module.__name__] = module
    for _, code in compiled(PAGE):
        exec(code, module.__dict__)  # type: ignore[arg-type]
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Acme's gateway on a socket."""
    with acme_gateway() as gateway:
        yield gateway


@pytest.fixture
def pay(page: types.ModuleType, gateway: Gateway, tmp_path: Path) -> Iterator[Client]:
    """A client as the page makes it, with an account at the gateway."""
    with page.client(configure(tmp_path, gateway)) as client:
        yield client


def configure(folder: Path, gateway: Gateway, **settings: str) -> Path:
    """A configuration with one account at the gateway."""
    file = folder / "paycore.toml"
    file.write_text(CONFIG.format(**({"url": gateway.url, "merchant": MERCHANT, "key": KEY} | settings)))
    return file


def order(pay: Client, reference: str = "order-1", **fields: Any) -> Payment:
    """Create a payment of 88.00 HKD."""
    return pay.create(
        reference=reference, amount=Money("88.00", "HKD"), method="acme", channel="web", **fields
    )


@pytest.fixture
def smallest() -> Iterator[types.ModuleType]:
    """The guide's smallest provider, as a module."""
    module = types.ModuleType("paycore_acme")
    sys.modules[module.__name__] = module
    ((_, code),) = compiled(GUIDE)
    exec(code, module.__dict__)  # type: ignore[arg-type]
    yield module
    del sys.modules[module.__name__]


def test_smallest_provider_is_paid(smallest: types.ModuleType, gateway: Gateway, tmp_path: Path) -> None:
    """Created and paid; with the reply lost, the order is found by its number and there is one."""
    with Client(configure(tmp_path, gateway), plugins=Plugins(extra=[("acme", smallest)])) as pay:
        payment = order(pay)
        assert payment.action == Redirect(url="https://pay.acme.example/A1")
        gateway.pay(payment.order_number)
        assert pay.query(payment.id).status is Status.PAID
        gateway.lose_replies = 1
        assert order(pay, "order-2").status is Status.UNKNOWN
        lost = pay.find("order-2")
        gateway.pay(lost.order_number)
        assert pay.query(lost.id).status is Status.PAID
        assert len(gateway.orders) == 2


def test_smallest_provider_is_short() -> None:
    """About seventy lines: what an author does not need is not asked for."""
    ((_, source),) = blocks(GUIDE, "python")
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) <= 72


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["smallest", "page"])
def test_provider_of_the_page_passes_the_kit(provider: str, request: pytest.FixtureRequest) -> None:
    """What a reader copies is right by the kit that will judge it, against Acme's gateway as a sandbox."""
    acme = request.getfixturevalue(provider).Acme
    report = check_provider(Subject(provider=acme, sandbox=ScriptedSandbox(AcmeGateway)))
    assert [(failure.check, failure.why) for failure in report.failures] == []
    assert report.is_passed


def test_page_provider_takes_a_payment_through_its_life(pay: Client, gateway: Gateway) -> None:
    """Created, paid, refunded in part, refunded whole."""
    payment = order(pay)
    assert (payment.status, payment.action) == (Status.PENDING, Redirect(url="https://pay.acme.example/A1"))
    gateway.pay(payment.order_number)
    assert pay.query(payment.id).status is Status.PAID
    payment = pay.refund(payment.id, reference="refund-1", amount=Money("20.00", "HKD"))
    payment = pay.refund(payment.id, reference="refund-2")
    assert [refund.status for refund in payment.refunds] == [RefundStatus.SUCCEEDED] * 2
    assert payment.refunded_minor == payment.paid_minor == 8800


def test_page_provider_survives_lost_replies(pay: Client, gateway: Gateway) -> None:
    """With the replies to a creation and a refund lost: one payable order, one refund."""
    gateway.lose_replies = 1
    assert order(pay).status is Status.UNKNOWN
    payment = order(pay)
    assert payment.status is Status.PENDING
    assert [one["state"] for one in gateway.orders.values()] == ["cancelled", "open"]
    gateway.pay(payment.order_number)
    pay.query(payment.id)
    gateway.lose_replies = 1
    assert pay.refund(payment.id, reference="refund-1").refunds[0].status is RefundStatus.UNKNOWN
    assert pay.query(payment.id).refunds[0].status is RefundStatus.SUCCEEDED
    assert len(gateway.refunds) == 1


def test_page_provider_closes(pay: Client) -> None:
    """An unpaid order is cancelled."""
    assert pay.close(order(pay).id).status is Status.CLOSED


def test_page_provider_takes_notifications(pay: Client, gateway: Gateway) -> None:
    """A genuine notification moves the payment and is acknowledged as Acme requires; a forged one changes nothing."""
    payment = order(pay)
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    with pytest.raises(NotAuthentic):
        pay.receive("shop", body=body + b" ", headers=headers)
    assert pay.get(payment.id).status is Status.PENDING
    assert pay.receive("shop", body=body, headers=headers).body == b"ok"
    assert pay.get(payment.id).status is Status.PAID


def test_page_provider_is_refused_definitely(pay: Client) -> None:
    """A refusal about the payer makes the payment failed, with Acme's own code."""
    payment = order(pay, subject="risky")
    assert payment.status is Status.FAILED
    assert payment.failure is not None
    assert payment.failure.code == "risk"


def test_page_provider_with_a_wrong_key(page: types.ModuleType, gateway: Gateway, tmp_path: Path) -> None:
    """A wrong key is an account error: once corrected, the same reference can be paid."""
    with page.client(configure(tmp_path, gateway, key="wrong")) as pay, pytest.raises(AccountRefused):
        order(pay)
    with page.client(configure(tmp_path, gateway)) as pay:
        assert order(pay).status is Status.PENDING
    assert len(gateway.orders) == 1


def test_page_provider_declares_what_it_takes(pay: Client, gateway: Gateway) -> None:
    """Undeclared or out-of-bounds fields are refused before a request is sent."""
    with pytest.raises(NotSupported):
        order(pay, payer_id="2088")
    with pytest.raises(InvalidField, match=r"1\.00 to 50000\.00"):
        pay.create(reference="order-2", amount=Money("0.99", "HKD"), method="acme", channel="web")
    assert not gateway.orders


def test_page_provider_settings_are_strict(page: types.ModuleType, gateway: Gateway, tmp_path: Path) -> None:
    """An unknown key is an error that names the nearest known one."""
    file = configure(tmp_path, gateway)
    file.write_text(file.read_text().replace("merchant", "merchent"))
    with page.client(file) as pay, pytest.raises(ConfigError, match="did you mean 'merchant'"):
        order(pay)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, b'{"number": "N", "id": "A1", "state": "open", "amount": 1, "currency": "HKD"}', Unknown),
        (201, b'{"number": "N", "id": "A1", "state": "new", "amount": 1, "currency": "HKD"}', Unknown),
        (201, b'{"number": "N", "id": "A1", "state": "open", "amount": 1', Unknown),
        (201, b'{"number": "N", "id": "A1", "state": "paid", "amount": 1, "currency": "HKD"}', Done),
        (200, b"<html>", Unknown),
        (500, b'{"error": "internal"}', Unknown),
        (422, b'{"error": "risk"}', Rejected),
        (409, b'{"error": "number_in_use"}', Rejected),
    ],
)
def test_page_provider_says_what_is_definite(
    page: types.ModuleType, status: int, body: bytes, outcome: type
) -> None:
    """Each reply to a creation has the outcome of the page's table."""
    asked: CreateOrder = page.order
    told = page.drive(page.acme.create(asked), lambda _: Response(status=status, body=body))
    assert isinstance(told, outcome)


def test_page_distribution_holds_the_plugin(tmp_path: Path) -> None:
    """The guide's pyproject.toml builds the module and its entry point, whatever folders are beside it."""
    (project,) = [source for _, source in blocks(GUIDE, "toml") if "[project]" in source]
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "paycore_acme.py").write_text("".join(source for _, source in blocks(PAGE, "python")))
    for folder in ("tests", "notes"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "some.py").touch()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "built"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "built").iterdir()
    with zipfile.ZipFile(wheel) as files:
        assert [name for name in files.namelist() if name.endswith(".py")] == ["paycore_acme.py"]
        entry_points = files.read("paycore_acme-0.1.0.dist-info/entry_points.txt").decode()
    assert entry_points.split() == ["[paycore]", "acme", "=", "paycore_acme"]


def test_page_names_every_capability() -> None:
    """The guide's tables have a row for each field of `Capabilities` and of `Product`."""
    from paycore.plugin import Capabilities, Product

    text = GUIDE.read_text(encoding="utf-8")
    rows = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    fields = {*Capabilities.__struct_fields__, *Product.__struct_fields__} - {"method", "channel"}
    assert fields <= rows
