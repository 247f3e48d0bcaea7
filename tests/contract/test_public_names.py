"""The names an application and a plugin may rely on."""

import importlib
import inspect

import pluggy
import pytest

from paycore import hookspecs

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("paycore_"))


@pytest.mark.parametrize("module_name", ["paycore", "paycore.plugin"])
def test_public_names_are_sorted_unique_and_there(module_name: str) -> None:
    """`__all__` lists each name once (constants, classes, the rest; each in order), and each can be imported."""
    module = importlib.import_module(module_name)
    names = list(module.__all__)
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert not [name for name in names if not hasattr(module, name)]
    assert set(names) <= set(dir(module))


@pytest.mark.parametrize("module_name", ["paycore", "paycore.plugin"])
def test_public_names_unknown_is_refused(module_name: str) -> None:
    """A name that does not exist is an AttributeError that names it, as for any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(importlib.import_module(module_name), "no_such_name")  # noqa: B009 -- unknown to the type checker


def test_hooks_are_those_of_the_design() -> None:
    """The hooks a plugin may implement; removing or renaming one breaks plugins."""
    assert HOOKS == [
        "paycore_after_commit",
        "paycore_register_commands",
        "paycore_register_providers",
        "paycore_register_sandboxes",
    ]


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_plain_parameters(name: str) -> None:
    """Positional parameters without defaults, never async: pluggy does not see the others, or drops what was passed."""
    hook = getattr(hookspecs, name)
    assert not inspect.iscoroutinefunction(hook)
    for parameter in inspect.signature(hook).parameters.values():
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, parameter
        assert parameter.default is inspect.Parameter.empty, parameter
    assert inspect.getdoc(hook)


def test_hooks_are_read_by_pluggy() -> None:
    """Every hook is marked as a specification, so that `check_pending` finds a misspelt one."""
    manager = pluggy.PluginManager("paycore")
    manager.add_hookspecs(hookspecs)
    assert sorted(vars(manager.hook).keys() & set(HOOKS)) == HOOKS
