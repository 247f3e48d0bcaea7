"""Changes the loaded modules of this process to those of a mutant. It can't be undone: fork first."""

from __future__ import annotations
import __future__

import sys
from types import FunctionType, ModuleType
from typing import Any

from tests.mutants.sources import Mutant, assignments_of

FLAGS = __future__.annotations.compiler_flag


def plant(mutant: Mutant) -> None:
    """Apply the change to this process; raises what the changed code raises when it is defined."""
    module = sys.modules[mutant.module]
    if mutant.is_function:
        _change_function(module, mutant)
    else:
        _assign_anew(module, mutant)


def function_of(module: ModuleType, where: str) -> FunctionType:
    """The live function of a qualified name: also of a method, a property's getter or a class method."""
    owner, _, name = where.rpartition(".")
    found = vars(getattr(module, owner))[name] if owner else vars(module)[name]
    return _bare(found)


def _bare(found: Any) -> FunctionType:
    function = getattr(found, "fget", None) or getattr(found, "__func__", found)
    assert isinstance(function, FunctionType), found
    return function


def _change_function(module: ModuleType, mutant: Mutant) -> None:
    live = function_of(module, mutant.where)
    defined = dict(vars(module))
    _run(mutant.source, defined)
    changed = _bare(defined[mutant.where.rpartition(".")[2]])
    live.__code__ = changed.__code__
    live.__defaults__, live.__kwdefaults__ = changed.__defaults__, changed.__kwdefaults__


def _assign_anew(module: ModuleType, mutant: Mutant) -> None:
    """Apply the changed assignment and every later one that depends on it, wherever their names were imported."""
    before = dict(vars(module))
    after = dict(before)
    _run(mutant.source, after)
    assignments = assignments_of(mutant.module)
    position = [name for name, _ in assignments].index(mutant.where)
    changed = {name for name in after if after[name] is not before.get(name)} - {"__builtins__"}
    for name, code in assignments[position + 1 :]:
        if changed & set(compile(code, "<assignment>", "exec", FLAGS).co_names):
            _run(code, after)
            changed.add(name)
    for name in changed:
        _replace_everywhere(name, before.get(name), after[name])


def _replace_everywhere(name: str, old: object, new: object) -> None:
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if names.get(name, _Nothing) is old:
            names[name] = new


class _Nothing:
    """Stands for a missing name."""


def _run(source: str, names: dict[str, Any]) -> None:
    exec(compile(source, "<mutant>", "exec", FLAGS, dont_inherit=True), names)
