"""The mutants: mutmut's operators on the modules that decide about money."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import msgspec
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins/qfpay_alipay"

MODULES = (
    *(f"paycore.domain.{path.stem}" for path in sorted(ROOT.glob("paycore/domain/[!_]*.py"))),
    "paycore.engine.recovery",
    "qfpay_alipay.pay_types",
    "qfpay_alipay.observations",
    "qfpay_alipay.outcomes",
    "qfpay_alipay.pauses",
    "qfpay_alipay.pages",
    "qfpay_alipay.query",
    "qfpay_alipay.listing",
)

TYPING_ONLY = frozenset({"assert_never", "cast", "TypeVar", "getLogger"})
"""Calls without a meaning at run time, or without one for the money."""


Key = tuple[str, str, str, str, int]
"""Module, definition, lines removed, lines added, and which of several alike."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change of one function, or of one assignment of a module.

    `where` is the function's qualified name, or the assigned name. `removed` and `added` are the lines that
    change; with `nth`, when the same lines are there more than once, they identify the mutant. `source`
    is the whole definition with the change in it.
    """

    module: str
    where: str
    removed: str
    added: str
    nth: int
    source: str
    is_function: bool

    @property
    def key(self) -> Key:
        """Its name in the list of equivalent mutants."""
        return self.module, self.where, self.removed, self.added, self.nth


class _Visitor(MutationVisitor):
    """Like mutmut's, also for properties; docstrings and types are left out."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef) and _is_property(node):
            return False
        called = node.value if isinstance(node, cst.Assign) else node
        if isinstance(called, cst.Call) and _code(called.func).rpartition(".")[2] in TYPING_ONLY:
            return True
        # Texts for people: their words are no requirement, and a mutant of each would hide the others.
        if isinstance(node, cst.BaseString) and (not isinstance(node, cst.SimpleString) or " " in node.value):
            return isinstance(node, cst.SimpleString)
        if isinstance(node, cst.Call) and _code(node.func).startswith("_log."):
            return True
        return bool(super()._skip_node_and_children(node))


def mutants_of(module_name: str) -> list[Mutant]:
    """Every mutant of a module, in its order."""
    wrapper = MetadataWrapper(_parsed(module_name))
    visitor = _Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    owners = {
        id(node): (where, definition)
        for where, definition in _definitions(wrapper.module)
        for node in _walk(definition)
    }
    found: list[Mutant] = []
    count: Counter[tuple[str, str, str]] = Counter()
    for mutation in visitor.mutations:
        where, definition = owners.get(id(mutation.original_node), (None, None))
        if where is None or definition is None:
            continue
        changed = deep_replace(definition, mutation.original_node, mutation.mutated_node)
        assert isinstance(changed, cst.CSTNode)
        before, after = _code(definition), _code(changed)
        removed, added = _difference(before, after)
        if (not removed and not added) or _is_unreachable(removed, added):
            continue
        nth = count[where, removed, added]
        count[where, removed, added] += 1
        found.append(
            Mutant(
                module=module_name,
                where=where,
                removed=removed,
                added=added,
                nth=nth,
                source=after,
                is_function=isinstance(definition, cst.FunctionDef),
            )
        )
    return found


def assignments_of(module_name: str) -> list[tuple[str, str]]:
    """The module's assignments outside functions and classes, as (name, code), in their order."""
    return [
        (where, _code(definition))
        for where, definition in _definitions(_parsed(module_name))
        if not isinstance(definition, cst.FunctionDef)
    ]


def _parsed(module_name: str) -> cst.Module:
    """Parse it without importing it: pytest must import its plugins' modules first."""
    home = ROOT if module_name.startswith("paycore.") else PLUGIN
    return cst.parse_module((home / f"{module_name.replace('.', '/')}.py").read_text())


def _definitions(module: cst.Module) -> Iterator[tuple[str, cst.CSTNode]]:
    """Functions, methods and properties, and a module's assignments."""
    for statement in module.body:
        match statement:
            case cst.FunctionDef():
                yield statement.name.value, statement
            case cst.ClassDef(body=cst.IndentedBlock(body=body)):
                for member in body:
                    if isinstance(member, cst.FunctionDef):
                        yield f"{statement.name.value}.{member.name.value}", member
            case cst.SimpleStatementLine(body=[cst.Assign(targets=[cst.AssignTarget(target=target)])]):
                name = _code(target).strip("()")
                is_read = name == name.upper() or name.startswith(
                    "_"
                )  # the others are types, for the type checker
                if is_read and name != "__all__":
                    yield name, statement
            case cst.SimpleStatementLine(body=[cst.AnnAssign(target=cst.Name(value=name), value=value)]) if (
                value
            ):
                yield name, statement


def _is_property(function: cst.FunctionDef) -> bool:
    return [_code(decorator.decorator) for decorator in function.decorators] == ["property"]


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _difference(before: str, after: str) -> tuple[str, str]:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    removed = " ".join(line[2:].strip() for line in lines if line.startswith("- "))
    added = " ".join(line[2:].strip() for line in lines if line.startswith("+ "))
    return removed, added


def _is_unreachable(removed: str, added: str) -> bool:
    """Whether only a case is removed that the type checker has shown to be impossible."""
    return not added and removed.startswith("case _:") and "assert_never(" in removed


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _walk(child)
