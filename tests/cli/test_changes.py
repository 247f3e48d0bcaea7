"""`changes`: prints what changed and acknowledges it; follows until a signal; lists the consumers."""

import json
import signal
import subprocess
from typing import Any

import pytest

from paycore.ledger.opening import open_read_only
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, Ran

READ = ("changes", "--consumer", "mail")
FROM_START = (*READ, "--from-start")


def lines(ran: Ran) -> list[Any]:
    """The JSON objects on stdout."""
    assert ran.code == 0, ran
    return [json.loads(line) for line in ran.out.splitlines()]


def holder() -> str | None:
    """Who holds the consumer."""
    ledger = open_read_only("sqlite:///paycore.db")
    try:
        return ledger.consumers("mail").result()[0].holder
    finally:
        ledger.close()


def test_prints_each_change_once(cli: Cli, shop: SandboxServer) -> None:
    """In order, with the payment as it is; the next run goes on behind the last."""
    payment = cli.create("order-1")
    made = lines(cli(*FROM_START, "--json"))
    assert [(change["kind"], change["payment"]["id"]) for change in made] == [
        ("created", payment["id"]),
        ("pending", payment["id"]),
    ]
    assert made[0]["key"] == f"{payment['id']}.1.created"
    assert set(made[0]) == {"key", "position", "kind", "at", "refund", "payment"}
    assert cli(*READ).out == ""
    cli("close", payment["id"])
    ran = cli(*READ)
    assert ran.out.endswith(f"UTC  {payment['id']}  order-1  88.00 HKD  closed\n"), ran


def test_kind_leaves_out_the_others(cli: Cli, shop: SandboxServer) -> None:
    """`--kind` may be repeated; a word that is none is refused."""
    payment = cli.create("order-1")
    cli("close", payment["id"])
    made = lines(cli(*FROM_START, "--kind", "closed", "--kind", "created", "--json"))
    assert [change["kind"] for change in made] == ["created", "closed"]
    refused = cli(*READ, "--kind", "shut")
    assert (refused.code, "'shut' is not one of created, unknown, pending" in refused.err) == (2, True)


def test_lists_consumers_and_how_far_behind_they_are(cli: Cli, shop: SandboxServer) -> None:
    """Each by name, with the number of events left and the time of the first of them."""
    missing = cli("changes", "--list")
    assert (missing.code, missing.out, "there is no ledger" in missing.err) == (0, "", True)
    cli(*READ)
    payment = cli.create("order-1")
    cli("changes", "--consumer", "books", "--from-start")
    books, mail = lines(cli("changes", "--list", "--json"))
    assert (books["consumer"], books["behind"], books["oldest_at"]) == ("books", 0, None)
    assert (mail["consumer"], mail["behind"], mail["oldest_at"]) == ("mail", 2, payment["created_at"])
    table = cli("changes", "--list").out.splitlines()
    assert table[0].split() == ["CONSUMER", "BEHIND", "OLDEST", "LEFT", "LAST", "ACKNOWLEDGED"]
    assert [line.split()[:2] for line in table[1:]] == [["books", "0"], ["mail", "2"]]


@pytest.mark.parametrize(
    "words",
    [
        ("changes",),
        ("changes", "--list", "--follow"),
        (*READ, "--forget", "--follow"),
        ("changes", "--consumer", " mail"),
    ],
)
def test_what_can_not_be_is_refused(cli: Cli, shop: SandboxServer, words: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert cli(*words).code == 2


def test_forget_removes_a_consumer(cli: Cli, shop: SandboxServer) -> None:
    """It is listed no more, and new when it is used again; one that does not exist is an error."""
    cli(*READ)
    assert cli(*READ, "--forget").code == 0
    listed = cli("changes", "--list")
    assert (listed.code, listed.out, "no consumers yet" in listed.err) == (0, "", True)
    missing = cli(*READ, "--forget")
    assert (missing.code, "no consumer is called 'mail'" in missing.err) == (2, True)


def test_follow_prints_until_it_is_ended_and_lets_another_go_on_at_once(
    cli: Cli, shop: SandboxServer
) -> None:
    """A change made while it follows is printed; SIGTERM ends it with 0, and the lease is free."""
    words = [PAYCORE, *FROM_START, "--follow", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        cli.create("order-1")
        made = [json.loads(following.stdout.readline()) for _ in range(2)]
        taken, kept = cli(*READ), cli(*READ, "--forget")
        following.send_signal(signal.SIGTERM)
        assert following.wait(20) == 0
    assert [change["kind"] for change in made] == ["created", "pending"]
    assert (taken.code, "another process reads the change feed for 'mail'" in taken.err) == (8, True)
    assert (kept.code, "another process reads" in kept.err) == (8, True)
    assert holder() is None
    assert cli(*READ).out == ""


def test_what_nobody_read_is_printed_again(cli: Cli, shop: SandboxServer) -> None:
    """Once the reader of the pipe is gone, nothing more is acknowledged."""
    cli.create("order-1")
    words = [PAYCORE, *FROM_START, "--follow", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["kind"] == "created"
        assert json.loads(following.stdout.readline())["kind"] == "pending"
        following.stdout.close()
        cli("close", cli("list", "--json").json["id"])
        assert following.wait(20) == 0
    assert [change["kind"] for change in lines(cli(*READ, "--json"))] == ["closed"]
