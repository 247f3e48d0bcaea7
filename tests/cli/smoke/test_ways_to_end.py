"""`smoke` with a person who pays, in live mode, interrupted, and asked for what can't be done."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paycore import Payment
from paycore.cli.smoke.leftovers import Leftovers
from tests.cli.conftest import PAYCORE, Cli
from tests.cli.smoke.shops import Shops, name_of


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so, 20 seconds at most."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(*arguments: str) -> subprocess.Popen[str]:
    """The installed command as a process of its own."""
    words = [PAYCORE, "smoke", *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_person_is_shown_how_to_pay_and_waited_for(cli: Cli, shops: Shops) -> None:
    """In test mode the payment with its link is printed, and the run goes on once somebody has paid."""
    shops.configure("qfpay", mode="test")
    known = len(shops.orders("qfpay"))

    def pay() -> None:
        until(lambda: len(shops.orders("qfpay")) > known)
        shops["qfpay"].gateway.controls.pay(name_of(shops.orders("qfpay")[-1]))

    payer = threading.Thread(target=pay)
    payer.start()
    ran = cli("smoke", "--pay-timeout", "20s", "--json")
    payer.join()
    assert ran.code == 0, ran
    documents = [json.loads(line) for line in ran.out.splitlines()]
    (asked,) = [one for one in documents if one["type"] == "payer"]
    assert asked["payment"]["action"]["url"].startswith(shops["qfpay"].url)
    assert asked["waits_s"] == 20.0
    assert next(one for one in documents if one.get("step") == "await")["verdict"] == "passed"


def test_nobody_pays_in_time(cli: Cli, shops: Shops) -> None:
    """Exit code 4 with what to do; the link was printed, and the payment is closed."""
    shops.configure("qfpay", mode="test")
    ran = cli("smoke", "--pay-timeout", "1s")
    assert ran.code == 4, ran
    assert f"{shops['qfpay'].url}/wallet/" in ran.out
    assert "pay it now; it is waited for, 1 s at most" in ran.err
    (told,) = [line for line in ran.out.splitlines() if line.startswith("await")]
    assert told.endswith("is pending, not paid within 1 s")
    assert "--pay-timeout" in ran.out
    assert shops.payable("qfpay") == []


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.proof),
        pytest.param(signal.SIGHUP, marks=pytest.mark.proof),
    ],
)
def test_interrupted_run_closes_what_it_made(shops: Shops, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a closed terminal while an order is on its way: 130, and the order can't be paid."""
    shops.configure("qfpay", timeout_s=1)
    shops["qfpay"].gateway.faults.add("delay", path="/trade/v1/payment", seconds=0.8)
    known = len(shops.orders("qfpay"))
    with started("--json") as run:
        until(lambda: len(shops.orders("qfpay")) > known)
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 130, out + err
    documents = [json.loads(line) for line in out.splitlines()]
    found = {one["step"]: (one["verdict"], one["what"]) for one in documents if one["type"] == "step"}
    assert found["create"] == ("failed", "interrupted")
    assert found["query"] == found["close"] == ("not run", "interrupted")
    assert found["clean up"][0] == "passed", found
    assert found["clean up"][1].startswith("closed payment ")
    assert documents[-1]["exit_code"] == 130
    assert shops.payable("qfpay") == []


@pytest.mark.proof
def test_second_ctrl_c_ends_the_cleaning_up(cli: Cli, shops: Shops) -> None:
    """130, and the command that lists what is left; what it lists can be closed."""
    shops.configure("qfpay", mode="test")
    shops["qfpay"].gateway.faults.add("respcd", path="/trade/v1/close", times=100)
    known = len(shops.orders("qfpay"))
    with started() as run:
        until(lambda: len(shops.orders("qfpay")) > known)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 130, out + err
    last = out.partition("\nclean up ")[2]
    assert last.split()[0] == "failed", out
    listing = last.partition("`paycore ")[2].partition("`")[0]
    (left,) = [json.loads(line) for line in cli(*listing.split(), "--json").out.splitlines()]
    shops.clear_faults()
    assert cli("close", left["id"]).code == 0
    assert shops.payable("qfpay") == []


def test_table_that_cannot_be_written_is_an_error(shops: Shops) -> None:
    """On a full disk the run goes to its end, and the error says so: 5, since requests were sent."""
    shops.configure("qfpay")
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [PAYCORE, "smoke", "--no-pay"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert ran.returncode == 5, ran
    assert ran.stderr.splitlines()[-1] == "error: stdout can't be written: No space left on device"
    assert "clean up passed" in ran.stderr
    assert shops.payable("qfpay") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--all --account qfpay", "give --all or --account, not both"),
        ("--live", "--live needs --currency and --max-amount"),
        ("--live --max-amount 5", "--live needs --currency and --max-amount"),
        ("--channel barcode", "alipay/barcode needs the code of a payer's wallet, scanned at that moment"),
        ("--channel fax", "has no such product; there are: alipay/app, alipay/barcode,"),
        ("--currency XAU", "alipay/web does not take XAU"),
        (
            "--amount 9 --max-amount 5 --currency HKD",
            "--amount: 9.00 HKD is more than --max-amount, 5.00 HKD",
        ),
        ("--amount 1.234 --currency HKD", "amount"),
        ("--pay-timeout soon", "--pay-timeout: 'soon' is not a duration"),
        ("--junit there/is/none/smoke.xml", "--junit: there is no folder there/is/none"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    cli: Cli, shops: Shops, words: str, said: str
) -> None:
    """Exit code 2 with what is wrong; no order is made."""
    shops.configure("qfpay")
    known = len(shops.orders("qfpay"))
    ran = cli("smoke", *words.split())
    assert (ran.code, ran.out) == (2, ""), ran
    assert said in ran.err
    assert len(shops.orders("qfpay")) == known


def test_live_mode_is_refused_without_live(cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account in live mode is left alone, exit code 2; with `--all` too, while the others are tried."""
    monkeypatch.setenv("KEY", "sk_live_of_this_test")
    monkeypatch.setenv("SECRET", "whsec_of_this_test")
    shops.configure("qfpay")
    with Path("paycore.toml").open("a", encoding="utf-8") as file:
        file.write(
            '[accounts.real]\nprovider = "stripe-checkout"\nmode = "live"\n'
            'api_key = { env = "KEY" }\nwebhook_secret = { env = "SECRET" }\n'
        )
    ran = cli("smoke", "--account", "real")
    assert (ran.code, ran.out) == (2, ""), ran
    assert "account real is in live mode" in ran.err
    ran = cli("smoke", "--all", "--no-pay", "--json")
    assert ran.code == 2, ran
    documents = [json.loads(line) for line in ran.out.splitlines()]
    real = [one for one in documents if one.get("account") == "real"]
    assert [(one["step"], one["verdict"]) for one in real] == [("choose", "failed")]
    assert [one["verdict"] for one in documents if one.get("step") == "close"] == ["passed"]


def test_first_ctrl_c_does_not_end_the_cleaning_up(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the steps are over: 130, and what was made is closed all the same."""
    shops.configure("qfpay", mode="test")
    clear, pressed = Leftovers._clear_one, list[bool]()

    def interrupted(self: Leftovers, payment: Payment) -> str:
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return clear(self, payment)

    monkeypatch.setattr(Leftovers, "_clear_one", interrupted)
    ran = cli("smoke", "--pay-timeout", "1s")
    assert ran.code == 130, ran
    assert "interrupted; closed payment " in ran.out
    assert shops.payable("qfpay") == []
