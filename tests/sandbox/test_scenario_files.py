"""Scenario files: what they say, and what is said of mistakes in them."""

import re
from pathlib import Path

import pytest

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.scenario import Match, OpenFault, PayerMove, Rule, RuleFault, joined, read_auto_pay
from paycore.sandbox.scenario_files import __doc__ as module_doc
from paycore.sandbox.scenario_files import read_scenario
from qfpay_alipay.sandbox import QFPaySandbox


def written(folder: Path, text: str) -> Path:
    """A scenario file with this text."""
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def rule_of(folder: Path, text: str) -> Rule:
    """The one rule of a file with this text."""
    (rule,) = read_scenario(written(folder, f"[[rule]]\n{text}")).rules
    return rule


@pytest.mark.parametrize(
    ("text", "payer"),
    [
        ('pay = "off"', PayerMove(does="nothing")),
        ("pay = 2", PayerMove(does="pay", after_s=2)),
        ("decline = 0.5", PayerMove(does="decline", after_s=0.5)),
        ('expire = "1h30m"', PayerMove(does="expire", after_s=5400)),
        ('decline_capture = "5m"', PayerMove(does="decline_capture", after_s=300)),
    ],
)
def test_payers(tmp_path: Path, text: str, payer: PayerMove) -> None:
    """A number is in seconds, a text is a duration."""
    assert rule_of(tmp_path, text).payer == payer


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"lost"', RuleFault(kind="drop_notification", times=None)),
        ('"forged"', RuleFault(kind="forged_notification", times=None)),
        ('"repeated"', RuleFault(kind="duplicate_notification", times=None)),
        ("{ repeated = 3 }", RuleFault(kind="duplicate_notification", times=None, options={"copies": 3})),
        ('{ late = "10m" }', RuleFault(kind="late_notification", times=None, options={"seconds": 600.0})),
    ],
)
def test_notifications(tmp_path: Path, text: str, fault: RuleFault) -> None:
    """Every notification of the order, not only the first."""
    assert rule_of(tmp_path, f"notification = {text}").notification == fault


def test_all_else_of_a_file(tmp_path: Path) -> None:
    """The example in the module's documentation, in every part."""
    example = (module_doc or "").partition("```toml")[2].partition("```")[0]
    scenario = read_scenario(written(tmp_path, example))
    place = f"{tmp_path / 'scenario.toml'}: "
    assert scenario.rules == (
        Rule(
            match=Match(reference="close-"),
            payer=PayerMove(does="nothing"),
            place=f"{place}rule[1]",
        ),
        Rule(
            match=Match(amount="9.99"),
            payer=PayerMove(does="pay", after_s=2),
            charge_back_s=3600,
            refund=RuleFault(kind="refuse_refund", times=None),
            notification=RuleFault(kind="late_notification", times=None, options={"seconds": 600.0}),
            faults=(
                RuleFault(kind="lose_reply", on="create"),
                RuleFault(kind="http_500", times=3, on="query"),
            ),
            place=f"{place}rule[2]",
        ),
    )
    assert scenario.faults == (OpenFault(fault=RuleFault(kind="http_429"), place=f"{place}fault[1]"),)


def test_the_example_of_the_page_is_one_that_a_gateway_takes(tmp_path: Path) -> None:
    """docs/sandbox.md, at the gateway it is served with; none of its rules is left out."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    example = page.partition('```toml title="scenario.toml"')[2].partition("```")[0]
    scenario = read_scenario(written(tmp_path, example))
    assert len(scenario.rules) == example.count("[[rule]]") > 3
    gateway = QFPaySandbox().open(SandboxOptions(public_url="http://127.0.0.1:1", scenario=scenario))
    assert gateway.faults.active() == []
    gateway.clock.close()


def test_options_stand_around_the_rules_of_a_file(tmp_path: Path) -> None:
    """What the command line says of some orders goes first, what it says of all goes last."""
    scenario = read_scenario(written(tmp_path, '[[rule]]\nmatch.channel = "qr"\nexpire = 1'))
    rules = joined(read_auto_pay(["3", "channel:qr,amount:1=off"]), scenario).rules
    assert [rule.payer and rule.payer.does for rule in rules] == ["nothing", "expire", "pay"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]", "scenario.toml is not TOML: "),
        ("[[rules]]", "scenario.toml: no key 'rules'; did you mean rule?"),
        ("rule = 3", "scenario.toml: rule is a list of tables: [[rule]], not 3"),
        ("[[rule]]", "rule[1] says nothing of what happens; it takes pay, decline"),
        ("[[rule]]\nmatch.channel = 'qr'", "rule[1] says nothing of what happens"),
        (
            "[[rule]]\npay = 1\n[[rule]]\nnotificaton = 'lost'",
            "rule[2]: no key 'notificaton'; did you mean notif",
        ),
        ("[[rule]]\nmatch = 'close-'", "rule[1].match is a table, such as { reference ="),
        ("[[rule]]\nmatch.refrence = 'a'", "rule[1].match: no key 'refrence'; did you mean reference?"),
        ("[[rule]]\nmatch.reference = 3", "rule[1].match.reference is a text, not 3"),
        ("[[rule]]\nmatch.amount = 9.99", "rule[1].match.amount is decimal text in major units, such as"),
        ("[[rule]]\nmatch.amount = 'ten'", "rule[1].match.amount is decimal text"),
        ("[[rule]]\nmatch.amount = 'nan'", "rule[1].match.amount is decimal text"),
        ("[[rule]]\npay = 'soon'", "rule[1].pay is a duration, such as 90 or 5m, not 'soon'"),
        ("[[rule]]\npay = true", "rule[1].pay is a duration"),
        ("[[rule]]\npay = -1", "rule[1].pay is a duration"),
        ("[[rule]]\ndecline = 'off'", "rule[1].decline is a duration"),
        ("[[rule]]\npay = 1\ndecline = 2", "rule[1] has pay and decline; a payer does one of them"),
        ("[[rule]]\ncharge_back = 'never'", "rule[1].charge_back is a duration"),
        ("[[rule]]\nrefund = 'fails'", "rule[1].refund is"),
        ("[[rule]]\nrefund = { fails_after = 'x' }", "rule[1].refund.fails_after is a duration"),
        ("[[rule]]\nnotification = 'late'", "rule[1].notification is"),
        ("[[rule]]\nnotification = { repeated = 1 }", "rule[1].notification is"),
        ("[[rule]]\nnotification = { late = 'x' }", "rule[1].notification.late is a duration"),
        ("[[rule]]\nfault = [{ on = 'query' }]", "rule[1].fault[1] has no kind"),
        ("[[rule]]\nfault = { kind = 'stall' }", "rule[1].fault is a list of tables"),
        (
            "[[rule]]\nfault = [{ kind = 'stall', on = 'querry' }]",
            "rule[1].fault[1].on: no request 'querry'; did",
        ),
        (
            "[[rule]]\nfault = [{ kind = 'stall', times = 0 }]",
            "rule[1].fault[1].times is a whole number from 1",
        ),
        ("[[rule]]\nfault = [{ kind = 'stall', x = [] }]", "rule[1].fault[1].x is a text, a number"),
        ("[[fault]]\nkind = 3", "fault[1].kind is a text, not 3"),
        ("[[fault]]\nkind = 'stall'\npath = 3", "fault[1].path is a text, not 3"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    """By file, rule and key, counted from 1, with what was probably meant."""
    with pytest.raises(ValueError, match=re.escape(words)):
        read_scenario(written(tmp_path, text))


def test_a_file_of_other_bytes_is_no_scenario(tmp_path: Path) -> None:
    """And one that is not there is an error of the system's."""
    (tmp_path / "scenario.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not TOML"):
        read_scenario(tmp_path / "scenario.toml")
    with pytest.raises(FileNotFoundError):
        read_scenario(tmp_path / "nothing.toml")
