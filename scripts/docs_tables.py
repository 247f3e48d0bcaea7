"""
Write what the documentation takes from the code, between its markers: tables, the source of examples, and files.

    .venv/bin/python scripts/docs_tables.py            # rewrite docs/*.md
    .venv/bin/python scripts/docs_tables.py --check    # exit 1 when one is out of date

A table stands between `<!-- table: NAME -->` and `<!-- /table -->`, the source of an example between
`<!-- source: MODULE.NAME -->`, of a module of tests/providers/minis, and `<!-- /source -->`; a whole file of
examples/recipes between `<!-- file: NAME -->` and `<!-- /file -->`. What is between them is generated.
"""

import argparse
import importlib
import inspect
import operator
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from paycore import errors
from paycore.errors import PaycoreError
from paycore.sandbox import control
from paycore.sandbox.connection import CONNECTION_FAULTS
from paycore.sandbox.faults import FaultKind
from paycore.sandbox.gateway_kinds import COMMON_FAULTS
from paycore.testing.conformance import check
from qfpay_alipay.sandbox.gateway_faults import QFPAY_FAULTS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
SOURCED = re.compile(r"(<!-- source: (\w+)\.([\w.]+) -->\n).*?(<!-- /source -->)", re.DOTALL)
FILED = re.compile(r"(<!-- file: (\S+) -->\n).*?(<!-- /file -->)", re.DOTALL)
RECIPES = ROOT / "examples" / "recipes"
LANGUAGES = {".py": "py", ".sh": "sh", ".toml": "toml", ".yml": "yaml", ".service": "ini"}
"""How a block with a file is marked, by suffix. `py` and not `python`: a recipe runs in a test of its own."""
FENCED = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)

WHAT_TO_DO: Mapping[str, str] = {
    "PaycoreError": "Catch it last, at the edge of your program.",
    "ConfigError": "Correct what the message names: it gives the path inside the file and a suggestion.",
    "AccountRefused": "Correct the account's credentials or settings, then call again with the same reference.",
    "PluginError": "Tell the plugin's author. When `payment_id` is set, `query` resolves that payment;"
    " where nothing moved, call again with the same reference.",
    "RequestError": "Change what you ask for.",
    "InvalidMoney": "Give exact text: `Money('88.00', 'HKD')`.",
    "InvalidField": "Correct the field the error names.",
    "NotSupported": "Ask for something the account offers; the message lists what there is.",
    "NotFound": "Check the id, the reference and the account.",
    "ReferenceAmbiguous": "Name the account, or the namespace.",
    "ReferenceConflict": "Use a new reference for new content; `field` names the first difference.",
    "RefundTooLarge": "Refund at most what is left; the message says how much that is.",
    "TooMany": "Refund all that is left at once, or continue in the provider's own portal.",
    "WrongState": "Look at `payment.status` first.",
    "ConsumerTaken": "Undo what was done for the change in hand, or rely on its key; then iterate again, to stand by.",
    "WrongLoop": "Open an `AsyncClient` in each event loop, with `async with`, and close it there.",
    "LedgerError": "Repair the database; calls continue where they stopped.",
    "LedgerUnavailable": "Bring the database back, then call again with the same reference, or `query`.",
    "LedgerMissing": "Check `ledger` in the configuration; make a payment, or run `paycore ledger migrate`.",
    "LedgerReadOnly": "Make the file and its folder writable.",
    "LedgerFull": "Make room, then call again with the same reference, or `query`.",
    "LedgerCorrupt": "Stop, restore a backup, and compare it with the provider's records.",
    "LedgerTooNew": "Run the paycore that upgraded it, or a newer one.",
    "ProviderError": "`query` the payment: the provider is asked what became of it.",
    "NotSent": "Check network and `base_url`, then call again with the same reference; where the error has"
    " `retry_after_s`, not before so many seconds.",
    "MaybeSent": "`query` or `wait`; never make a new reference for the same purchase.",
    "IncompleteReply": "Call again with the same reference: the missing part is recovered.",
    "NotificationError": "Answer the sender with an HTTP error.",
    "NotAuthentic": "Answer with an HTTP error; check the key when it is a real notification.",
    "MalformedNotification": "Answer with an HTTP error.",
}
"""What whoever catches the error does next. Keep in sync with paycore/errors.py; a test finds a missing one."""


# --- tables ------------------------------------------------------------------------------------------


def error_tree() -> str:
    """The tree as errors.py draws it."""
    return f"```text\n{fenced(errors)}```\n"


def error_table() -> str:
    """Every class: what happened, who acts, may money have moved, what to do."""
    head = ("Error", "What happened", "Who acts", "May money have moved?", "What to do")
    return table(head, [error_row(kind) for kind in error_classes(PaycoreError)])


def error_classes(kind: type[PaycoreError]) -> Iterator[type[PaycoreError]]:
    """The classes of errors.py, parents before children, in the order of the file."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from error_classes(child)


def error_row(kind: type[PaycoreError]) -> tuple[str, ...]:
    """One class."""
    name = kind.__name__
    what = re.sub(r"\s+", " ", inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])
    return (f"`{name}`", what, kind.who_acts, kind.money_moved, WHAT_TO_DO[name])


def endpoint_table() -> str:
    """The sandbox's control endpoints, from the module that serves them."""
    rows = []
    for line in fenced(control).splitlines():
        method, path, words = re.split(r"\s+", line, maxsplit=2)
        words = re.sub(r"\s+", " ", words).replace("|", "\\|")
        rows.append((f"`{method} {path}`", f"`{words}`" if words.startswith("{") else words))
    return table(("Endpoint", "What it is"), rows)


def fault_table(kinds: Iterable[FaultKind]) -> str:
    """Faults with their options and defaults."""
    rows = [
        (f"`{kind.name}`", kind.help, ", ".join(f"`{name}={option(v)}`" for name, v in kind.options.items()))
        for kind in kinds
    ]
    return table(("Fault", "What happens", "Options and their defaults"), rows)


def option(value: object) -> str:
    """A default as `--option` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def checks_table() -> str:
    """Every check of the conformance kit, what it requires, and the bugs that are planted for it."""
    bugs: dict[str, list[str]] = {}
    for one in _from_root("tests.conformance.planting").planted():
        bugs.setdefault(one.check, []).append(one.bug)
    rows = [(f"`{one.name}`", one.requirement, "; ".join(bugs[one.name])) for one in check.all_checks()]
    return table(("Check", "What must hold", "Planted bugs that it finds"), rows)


def needs_table() -> str:
    """What real APIs need, each with the test that shows it."""
    return f"{_from_root('tests.providers.table').markdown()}\n"


def capabilities_table(name: str) -> str:
    """What all providers declare, one of the matrices of scripts/capability_matrix.py."""
    head, *rows = getattr(_from_root("scripts.capability_matrix"), f"{name}_matrix")()
    return table(head, rows)


def example(module: str, name: str) -> str:
    """The source of a class, method or function of a miniature provider; `py` blocks are not run by themselves."""
    shown = operator.attrgetter(name)(_from_root(f"tests.providers.minis.{module}"))
    return f"```py\n{textwrap.dedent(inspect.getsource(shown))}```\n"


def recipe(name: str) -> str:
    """A file of examples/recipes, whole, under its name."""
    path = RECIPES / name
    return f'```{LANGUAGES.get(path.suffix, "text")} title="{name}"\n{path.read_text(encoding="utf-8")}```\n'


def _from_root(module: str) -> Any:
    if sys.path[0] != str(ROOT):
        sys.path.insert(0, str(ROOT))  # before any `tests` that an installed distribution brings along
    return importlib.import_module(module)


TABLES: Mapping[str, Callable[[], str]] = {
    "error-tree": error_tree,
    "errors": error_table,
    "needs": needs_table,
    "checks": checks_table,
    "products": lambda: capabilities_table("products"),
    "providers": lambda: capabilities_table("providers"),
    "endpoints": endpoint_table,
    "wire-faults": lambda: fault_table(CONNECTION_FAULTS),
    "common-faults": lambda: fault_table(COMMON_FAULTS),
    "qfpay-faults": lambda: fault_table(QFPAY_FAULTS),
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def fenced(module: object) -> str:
    """The first fenced block of a module's docstring."""
    found = FENCED.search(module.__doc__ or "")
    if found is None:
        raise LookupError(f"{module} has no fenced block in its docstring")
    return found[1]


# --- files -------------------------------------------------------------------------------------------


def filled(text: str) -> str:
    """The text of a page, with what is between its markers as it should be."""
    text = MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text)
    text = SOURCED.sub(lambda found: f"{found[1]}\n{example(found[2], found[3])}\n{found[4]}", text)
    return FILED.sub(lambda found: f"{found[1]}\n{recipe(found[2])}\n{found[3]}", text)


def main() -> int:
    """Rewrite or check every page."""
    parser = argparse.ArgumentParser(description="Write what follows from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when one is out of date")
    only_checks = parser.parse_args().check
    stale = [path for path in sorted(DOCS.glob("*.md")) if filled(path.read_text()) != path.read_text()]
    for path in stale:
        if not only_checks:
            path.write_text(filled(path.read_text()))
        print(f"{'out of date' if only_checks else 'written'}: docs/{path.name}")
    return 1 if only_checks and stale else 0


if __name__ == "__main__":
    sys.exit(main())
