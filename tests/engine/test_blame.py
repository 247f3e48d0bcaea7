"""A plugin's error names the place in the plugin, not one in paycore or a library."""

import json
from collections.abc import Callable

import pytest

from paycore import Money
from paycore.engine.contract import ask
from paycore.errors import PluginError
from tests.engine.by_hand import Bench


def calls_a_helper() -> object:
    return reads_json()


def reads_json() -> object:
    return json.loads("{")


def makes_money() -> object:
    return Money("a lot", "HKD")


def looks_up() -> object:
    return dict[str, object]()["gone"]


@pytest.mark.parametrize(
    ("call", "culprit"),
    [
        (looks_up, looks_up),
        (reads_json, reads_json),
        (makes_money, makes_money),
        (calls_a_helper, reads_json),
    ],
)
def test_place_is_the_innermost_line_of_the_plugin(
    bench: Bench, call: Callable[[], object], culprit: Callable[[], object]
) -> None:
    """Not the library the plugin called, not paycore, not the plugin's caller."""
    line = culprit.__code__.co_firstlineno + 1
    with pytest.raises(PluginError, match=rf"in {__name__}, line {line}\b"):
        ask(bench.account, "flow", call)
