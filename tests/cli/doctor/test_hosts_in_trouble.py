"""`doctor` names what is wrong on the way to a provider: the step, and not those that follow from it."""

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from paycore.cli.doctor import reach_checks
from paycore.ledger.clock import utc_now
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.cli.conftest import Cli, ToyShop
from tests.cli.doctor.conftest import HostAt, line
from tests.ledger.workload import begun


def examined(cli: Cli, code: int) -> Any:
    """What `doctor` found; it exits with this code."""
    ran = cli("doctor", "--json")
    assert ran.code == ran.json["exit_code"] == code, ran
    return ran.json


def _now() -> str:
    """The time as a server's Date header has it."""
    return format_datetime(datetime.now(UTC), usegmt=True)


def test_dead_host(cli: Cli, toy_shop: ToyShop) -> None:
    """Nothing listens on the port: the name is found, a connection is not made, and the rest is not checked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    toy_shop.configure(f"http://127.0.0.1:{port}")
    found = examined(cli, 7)
    assert line(found, "dns")["verdict"] == "ok"
    assert line(found, "tcp")["found"] == f"127.0.0.1:{port}: connection refused"
    assert line(found, "tcp")["exit_code"] == 7
    for check in ("answer", "clock", "credentials"):
        assert line(found, check)["verdict"] == "not checked"


def test_proxy_that_is_not_used(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a proxy reaches the provider, that paycore uses none is said; what it is called by is not."""
    toy_shop.configure("http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:CANARY@proxy.example:3128")
    told = line(examined(cli, 7), "tcp")
    assert told["advice"].endswith("HTTPS_PROXY is set, and paycore uses no proxy")
    assert "CANARY" not in str(told)


def test_name_that_is_not_found(cli: Cli, toy_shop: ToyShop) -> None:
    """A misspelt host, or a machine without DNS."""
    toy_shop.configure("https://api.nowhere.invalid", allow_remote_sandbox=True)
    found = examined(cli, 7)
    assert line(found, "dns")["verdict"] == "problem"
    assert line(found, "dns")["found"] == "api.nowhere.invalid:443: its name was not found"
    assert line(found, "tls")["verdict"] == "not checked"


@pytest.mark.parametrize(
    ("certificate", "trust", "problem"),
    [
        ("elsewhere.pem", "authority.pem", "self-signed certificate"),
        ("expired.pem", "expired.pem", "certificate has expired"),
        ("elsewhere.pem", "elsewhere.pem", "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_bad_certificate(
    cli: Cli,
    toy_shop: ToyShop,
    host_at: HostAt,
    trusted: Callable[[str], None],
    *,
    certificate: str,
    trust: str,
    problem: str,
) -> None:
    """Not trusted, expired, or of another host; the connection itself is fine."""
    trusted(trust)
    toy_shop.configure(host_at(certificate=certificate))
    found = examined(cli, 7)
    assert line(found, "tcp")["verdict"] == "ok"
    assert line(found, "tls")["verdict"] == "problem"
    assert problem in line(found, "tls")["found"]
    assert line(found, "answer")["verdict"] == "not checked"


def test_host_without_tls(cli: Cli, toy_shop: ToyShop, host_at: HostAt) -> None:
    """An https URL of a server that answers in plain HTTP."""
    toy_shop.configure(host_at().replace("http:", "https:"))
    assert line(examined(cli, 7), "tls")["verdict"] == "problem"


def test_good_certificate(
    cli: Cli, toy_shop: ToyShop, host_at: HostAt, trusted: Callable[[str], None]
) -> None:
    """The version of TLS and how long the certificate is valid are said; an answer comes, with its date."""
    trusted("authority.pem")
    toy_shop.configure(host_at(certificate="server.pem", date=_now()))
    found = examined(cli, 7)  # it answers, and is no gateway
    assert line(found, "tls")["verdict"] == "ok"
    assert "TLSv1.3, certificate until 2" in line(found, "tls")["found"]
    assert line(found, "answer")["verdict"] == line(found, "clock")["verdict"] == "ok"


def test_wrong_host(cli: Cli, toy_shop: ToyShop, host_at: HostAt) -> None:
    """Something answers, and is not the provider: every step is fine, but for what it says."""
    toy_shop.configure(host_at(body=b"<html>it works</html>", date=_now()))
    found = examined(cli, 7)
    for check in ("tcp", "answer", "clock"):
        assert line(found, check)["verdict"] == "ok"
    told = line(found, "credentials")
    assert told["verdict"] == "problem"
    assert "is the host of toy for mode sandbox" in told["advice"]


@pytest.mark.parametrize(
    ("ahead", "verdict", "code", "words"),
    [
        (timedelta(hours=1), "problem", 6, "paycore's time is 60 min behind"),
        (timedelta(hours=-1), "problem", 6, "paycore's time is 60 min ahead of"),
        (timedelta(seconds=60), "warning", 7, "behind"),
        (timedelta(), "ok", 7, "within a second or two"),
    ],
)
def test_clock_that_is_off(
    cli: Cli,
    toy_shop: ToyShop,
    host_at: HostAt,
    *,
    ahead: timedelta,
    verdict: str,
    code: int,
    words: str,
) -> None:
    """The provider's date is compared with paycore's time; an hour is a problem here, before one elsewhere (7)."""
    date = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
    toy_shop.configure(host_at(date=date))
    told = line(examined(cli, code), "clock")
    assert told["verdict"] == verdict
    assert words in told["found"]


def test_ledger_whose_time_is_ahead(cli: Cli, toy_shop: ToyShop, host_at: HostAt) -> None:
    """A clock was an hour ahead, and was set right: the ledger's time, which signs requests, is ahead still."""
    with closing(SqliteLedger("paycore.db", clock=lambda: utc_now() + timedelta(hours=1))) as ledger:
        ledger.begin(*begun("from-the-future", account="toy")).result()
    toy_shop.configure(host_at(date=_now()))
    found = examined(cli, 6)
    told = line(found, "clock", "ledger")
    assert told["verdict"] == "warning"
    assert "60 min ahead of this machine's: the clock was set back" in told["found"]
    told = line(found, "clock", "account toy")
    assert told["verdict"] == "problem"
    assert "paycore's time is 60 min ahead of" in told["found"]


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_host_without_a_date(cli: Cli, toy_shop: ToyShop, host_at: HostAt, date: str) -> None:
    """Without a date to compare with, the clock is not checked."""
    toy_shop.configure(host_at(date=date))
    assert line(examined(cli, 7), "clock")["verdict"] == "not checked"


def test_look_up_that_takes_too_long(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up can't be ended: after a while it is not waited for."""
    ended = threading.Event()

    def hanging(*_: object) -> None:
        ended.wait(30)

    monkeypatch.setattr(reach_checks, "STEP_S", 0.1)
    monkeypatch.setattr(reach_checks, "resolve", hanging)
    told = line(examined(cli, 7), "dns")
    ended.set()
    assert told["verdict"] == "problem"
    assert told["found"].endswith("timed out")


def test_host_of_two_accounts_is_reached_once(
    cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both accounts have its lines; a dead host takes its time once."""
    config = Path("paycore.toml")
    table = config.read_text().partition("[accounts.toy]")[2]
    config.write_text(f"{config.read_text()}\n[accounts.other]{table}")
    looked_up = list[str]()

    def counted(host: str, port: int) -> Any:
        looked_up.append(host)
        return resolve(host, port)

    resolve = reach_checks.resolve
    monkeypatch.setattr(reach_checks, "resolve", counted)
    found = examined(cli, 0)
    assert looked_up == ["127.0.0.1"]
    for account in ("account toy", "account other"):
        assert (
            line(found, "tcp", account)["verdict"] == line(found, "credentials", account)["verdict"] == "ok"
        )
