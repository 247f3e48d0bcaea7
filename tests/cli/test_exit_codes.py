"""Each exit code is reached by the state or error it stands for."""

import inspect
import subprocess
import sys
import time

import pytest

from paycore import errors
from paycore.cli import endings
from paycore.cli.endings import Exit
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order, write_config


def test_exit_codes_have_one_meaning_each() -> None:
    """The table has every exit code, with the documented numbers."""
    assert list(endings.MEANINGS) == list(Exit)
    assert [int(code) for code in Exit] == [*range(10), 130]


def test_exit_codes_every_typed_error_has_one() -> None:
    """No typed error has the exit code of a bug."""
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.PaycoreError) and kind is not errors.PaycoreError:
            assert endings.of_error(_any(kind)) is not Exit.BUG, name


def _any(kind: type[errors.PaycoreError]) -> errors.PaycoreError:
    error = kind.__new__(kind)
    errors.PaycoreError.__init__(error, "words")
    return error


def test_exit_codes_ledger_breaks_under_way_unknown() -> None:
    """A ledger error before anything is recorded is a configuration error; later the outcome is unknown."""
    assert endings.of_error(errors.LedgerFull("full")) is Exit.CONFIG
    assert endings.of_error(errors.LedgerFull("full", payment_id="P")) is Exit.UNKNOWN
    assert endings.of_error(errors.LedgerReadOnly("read-only", payment_id="P")) is Exit.CONFIG


def test_unreachable_about_an_unknown_payment_5(cli: Cli, shop: SandboxServer) -> None:
    """Nothing moved by a command that does not reach the provider, but money may have moved before: 5, and never 7."""
    shop.gateway.faults.add("lose_reply")
    payment_id = cli(*order(), "--json").json["id"]
    write_config("http://127.0.0.1:1")
    for words in (order(), ("query", payment_id), ("close", payment_id)):
        ran = cli(*words, "--json")
        assert (ran.code, ran.json["status"], ran.error["money_moved"]) == (5, "unknown", "maybe"), ran
        assert f"`paycore query {payment_id}` asks again" in ran.error["message"]


def test_query_of_a_pending_payment_unreachable_7(cli: Cli, shop: SandboxServer) -> None:
    """A payment whose order is known and unpaid is unchanged where the provider can't be asked."""
    payment_id = cli.create()["id"]
    write_config("http://127.0.0.1:1")
    ran = cli("query", payment_id, "--json")
    assert (ran.code, ran.error["money_moved"]) == (7, "no"), ran
    assert f"payment {payment_id} is unchanged: run the same command again" in ran.error["message"]


def test_create_pending_0(cli: Cli, shop: SandboxServer) -> None:
    """A pending payment is a success of `create`."""
    ran = cli(*order())
    assert (ran.code, "pending" in ran.out) == (0, True), ran


def test_await_paid_0(cli: Cli, shop: SandboxServer) -> None:
    """`await` exits 0 once the payment is paid."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    ran = cli("await", payment["id"], "--timeout", 20, "--json")
    assert (ran.code, ran.json["status"], ran.json["paid_minor"]) == (0, "paid", 8800), ran


def test_unforeseen_error_1_with_traceback() -> None:
    """An unexpected error prints its traceback and exits 1."""
    code = (
        "import sys; from paycore.cli import main, output, quick\n"
        "output.Output = None\n"
        "sys.exit(main.main(['plugins', 'list']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.BUG
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "creat",
        "create --reference r",
        "show",
        "show a --reference b",
        "show a b",
        "list --status shipped",
        "list --status paid --status pending",
        "create --reference r --amount 1.00 --amount 2.00 --currency HKD --method alipay --channel web",
        "--account a --account b list",
        "--account shop list --account shop",
        "--config paycore.toml show --config other.toml nobody",
        "ledger --account a verify --reference r --account b",
        "list --limit -1",
        "list --limit 1e3",
        "list --until yesterday",
        "list --since yesterday",
        "list --by closed",
        "list --reason because",
        "list --limit 1001",
        "await a --timeout -1",
        "await a --timeout nan",
        "await a --timeout soon",
        "refund a",
        "refund --reference r",
        "sandbox",
        "sandbox serve qfpay-alipay --port 70000",
        "sandbox serve nobody",
        "create --reference r --amount 1.00 --currency HKD --method alipay --channel web --extra limit_pay",
        "create --reference r --amount 1.00 --currency HKD --method alipay --channel web --extra a=1 --extra a=2",
        "show nobody-has-this-id",
        "show --reference nobody-has-this-reference",
    ],
)
def test_usage_2_with_one_line(cli: Cli, shop: SandboxServer, words: str) -> None:
    """Invalid arguments are refused in one line before anything is sent."""
    ran = cli(*words.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert ran.err.startswith("error: ")
    assert shop.gateway.controls.stats()["requests"] == {}


def test_await_declined_3(cli: Cli, shop: SandboxServer) -> None:
    """A declined payment exits 3 from `await` and from `query`."""
    payment = cli.create()
    shop.gateway.controls.decline(payment["order_number"])
    ran = cli("await", payment["id"], "--timeout", 20, "--json")
    assert (ran.code, ran.json["status"]) == (3, "failed"), ran
    assert cli("query", payment["id"]).code == 3


def test_close_0_then_query_3(cli: Cli, shop: SandboxServer) -> None:
    """`close` exits 0 once the provider confirmed it; a later `query` of the closed payment exits 3."""
    payment = cli.create()
    closed = cli("close", payment["id"], "--json")
    assert (closed.code, closed.json["status"]) == (0, "closed"), closed
    assert cli("close", payment["id"]).code == 0
    assert cli("query", payment["id"]).code == 3


@pytest.mark.parametrize("is_known", [False, True])
def test_close_of_a_paid_payment_3_each_time(cli: Cli, shop: SandboxServer, is_known: bool) -> None:
    """Closing a paid payment prints it and what to do, and exits 3; so does repeating the command."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    if is_known:
        cli("query", payment["id"])
    ran, again = (cli("close", payment["id"], "--config", "paycore.toml") for _ in range(2))
    assert (ran.code, "paid" in ran.out, ran.err.count("\n")) == (3, True, 1), ran
    refund = f"paycore refund {payment['id']} --config paycore.toml"
    assert f"it was paid before; `{refund}` with a --reference of its own" in ran.err
    assert (again.code, again.out, again.err) == (ran.code, ran.out, ran.err)


def test_await_of_an_unsent_payment_7_at_once(cli: Cli, shop: SandboxServer) -> None:
    """An unsent payment: `await` returns at once, and a line on stderr says what to do."""
    write_config("http://127.0.0.1:1")
    assert cli(*order()).code == 7
    write_config(shop.url)
    started = time.monotonic()
    ran = cli("await", "--reference", "order-1", "--timeout", 60, "--json")
    assert (ran.code, ran.json["status"]) == (7, "created"), ran
    ran = cli("await", "--reference", "order-1", "--timeout", 60)
    assert (ran.code, ran.err.count("\n")) == (7, 1), ran
    assert "nothing to wait for" in ran.err
    assert "`paycore create` with the same reference sends it" in ran.err
    assert time.monotonic() - started < 20


def test_await_of_a_payment_refused_for_the_account_7(cli: Cli, shop: SandboxServer) -> None:
    """A payment whose account was refused: the line names what to correct first."""
    write_config(shop.url, key="0" * 32)
    assert cli(*order()).code == 6
    ran = cli("await", "--reference", "order-1", "--timeout", 60)
    assert (ran.code, "the provider refused the account" in ran.err) == (7, True), ran


def test_query_of_an_unsent_payment_0(cli: Cli, shop: SandboxServer) -> None:
    """An unsent payment: no request is made, and a line on stderr says so."""
    url = shop.url
    write_config("http://127.0.0.1:1")
    assert cli(*order()).code == 7
    write_config(url)
    ran = cli("query", "--reference", "order-1")
    assert (ran.code, "created" in ran.out, "nothing was asked" in ran.err) == (0, True, True), ran
    assert shop.gateway.controls.stats()["requests"] == {}
    assert cli("query", "--reference", "order-1", "--json").err == ""
    cli.create()
    assert cli("query", "--reference", "order-1").err == ""


def test_refund_of_a_pending_payment_names_query(cli: Cli, shop: SandboxServer) -> None:
    """The payer may have paid already: the error names `query`."""
    payment = cli.create()
    ran = cli("refund", payment["id"], "--reference", "back-1")
    assert (ran.code, f"`paycore query {payment['id']}` asks whether" in ran.err) == (2, True), ran
    cli("close", payment["id"])
    assert "query" not in cli("refund", payment["id"], "--reference", "back-1").err


def test_await_timeout_4(cli: Cli, shop: SandboxServer) -> None:
    """At the timeout `await` prints the payment, still pending."""
    payment = cli.create()
    ran = cli("await", payment["id"], "--timeout", "0.2", "--json")
    assert (ran.code, ran.json["status"]) == (4, "pending"), ran


def test_create_reply_lost_5_then_query_resolves(cli: Cli, shop: SandboxServer) -> None:
    """A lost reply leaves the outcome unknown; a later query resolves it."""
    shop.gateway.faults.add("lose_reply")
    ran = cli(*order(), "--json")
    assert (ran.code, ran.json["status"], ran.json["uncertain"]) == (5, "unknown", True), ran
    shop.gateway.controls.pay(ran.json["order_number"])
    resolved = cli("query", ran.json["id"], "--json")
    assert (resolved.code, resolved.json["status"], resolved.json["uncertain"]) == (0, "paid", False), (
        resolved
    )


def test_refund_reply_lost_5(cli: Cli, shop: SandboxServer) -> None:
    """The exit code is that of the refund's status: unknown here, though the payment is paid."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    shop.gateway.faults.add("lose_reply", path="/trade/v1/refund")
    ran = cli("refund", payment["id"], "--reference", "back-1", "--json")
    assert (ran.code, ran.json["status"], ran.json["refunds"][0]["status"]) == (5, "paid", "unknown"), ran
    assert cli("await", payment["id"], "--timeout", 0).code == 5
    assert cli("await", payment["id"], "--timeout", 20).code == 0


def test_refund_pending_4_until_it_is_resolved(cli: Cli, shop: SandboxServer) -> None:
    """A pending refund: `refund` and `await` exit 4, `query` exits 0, `list --open` lists it."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    assert cli("list", "--open", "--json").out == ""
    shop.gateway.faults.add("pending_refund", seconds=4.0)
    refund = ("refund", payment["id"], "--reference", "back-1", "--json")
    for words, code in (
        (refund, 4),
        (refund, 4),
        (("await", payment["id"], "--timeout", "0.2", "--json"), 4),
        (("query", payment["id"], "--json"), 0),
    ):
        ran = cli(*words)
        assert (ran.code, ran.json["status"], ran.json["refunds"][0]["status"]) == (
            code,
            "paid",
            "pending",
        ), ran
    assert cli("list", "--open", "--json").json["id"] == payment["id"]
    assert cli("await", payment["id"], "--timeout", 30, "--json").json["refunds"][0]["status"] == "succeeded"
    assert cli(*refund).code == 0
    assert cli("list", "--open", "--json").out == ""


def test_refund_succeeded_0_and_refused_3(cli: Cli, shop: SandboxServer) -> None:
    """A refund that succeeded exits 0, one the provider refused 3, one it refused for now 7."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    done = cli("refund", payment["id"], "--reference", "back-1", "--amount", "20.00", "--json")
    assert (done.code, done.json["refunded_minor"]) == (0, 2000), done
    shop.gateway.faults.add("respcd", code="1155", path="/trade/v1/refund")
    refused = cli("refund", "--payment-reference", "order-1", "--reference", "back-2", "--json")
    assert (refused.code, refused.json["refunds"][-1]["failure"]["code"]) == (3, "1155"), refused
    shop.gateway.faults.add("balance_empty")
    put_off = cli("refund", "--payment-reference", "order-1", "--reference", "back-3", "--json")
    assert (put_off.code, put_off.json["refunds"][-1]["status"]) == (7, "created"), put_off
    assert put_off.error["retry_after_s"] > 0


def test_gateway_down_7_and_the_same_command_sends_it_later(cli: Cli, shop: SandboxServer) -> None:
    """Nothing was sent: the payment is `created`, and the same command sends it once the gateway is back."""
    url = shop.url
    write_config("http://127.0.0.1:1")
    ran = cli(*order())
    assert (ran.code, ran.err.count("\n")) == (7, 1), ran
    assert "account shop" in ran.err
    assert "run the same command again" in ran.err
    assert "created" in ran.out
    write_config(url)
    again = cli.create()
    assert again["status"] == "pending"
    assert again["id"] in ran.out


def test_reference_conflict_8(cli: Cli, shop: SandboxServer) -> None:
    """The same reference with another amount is refused, naming the field."""
    payment = cli.create(amount="88.00")
    ran = cli(*order(amount="99.00"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (8, "", 1), ran
    assert "amount" in ran.err
    assert cli.create(amount="88.00")["id"] == payment["id"]


def test_amount_differs_9(cli: Cli, shop: SandboxServer) -> None:
    """A contradicting amount exits 9 from every command that reads the payment, with the reason."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    shop.gateway.faults.add("wrong_amount")
    ran = cli("query", payment["id"], "--json")
    assert (ran.code, ran.json["review"], ran.json["review_reasons"]) == (9, True, ["amount_differs"]), ran
    assert cli("await", payment["id"], "--timeout", "0.1").code == 9
    assert "a person must look" in cli("show", payment["id"]).out
    assert [line for line in cli("list", "--review", "--json").out.splitlines() if payment["id"] in line]
