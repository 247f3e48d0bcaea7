"""What may come next on an unfinished command line; reads the configuration and the ledger, and sends nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from paycore.cli import app
from paycore.cli.endings import Exit
from paycore.cli.options import GlobalOptions, guess
from paycore.cli.output import Output
from paycore.cli.render.text import clean
from paycore.errors import PaycoreError

Kind = Literal["words", "files", "folders"]
Pairs = Iterable[tuple[str, str]]

PAYMENTS_MAX = 30

_CHOICES = re.compile(r"\b[Oo]ne of ([a-z0-9_]+(?:, [a-z0-9_]+)+)")
"""How the help of an option lists the words that it takes."""
_PLAIN = re.compile(r"[\w.,:@+/-]+")
"""Words that no shell takes for anything else."""


class Candidates(msgspec.Struct, frozen=True):
    """Words that may come next, each with what it means, or the kind of path that does."""

    kind: Kind = "words"
    words: tuple[tuple[str, str], ...] = ()


def candidates(words: Sequence[str], *, described: bool = True) -> Candidates:
    """
    Return what may stand in place of the last of `words`, which may be empty.

    `words` are those after `paycore`. Of an option with its value, `--status=pa`, only values are returned. Commands
    are `described` by importing their modules.
    """
    *before, current = words or [""]
    place = _Place(before)
    option, equals, value = current.partition("=")
    if place.option is not None:
        return _values(place.option, words, current)
    if equals and option.startswith("--") and not place.is_literal:
        found = place.options().get(option)
        return Candidates() if found is None else _values(found, words, value)
    if current.startswith("-") and not place.is_literal:
        return _starting(current, place.options_left())
    if place.commands is not None:
        names = [name for name in place.commands if name.startswith(current)]
        return Candidates(words=tuple((name, place.help_of(name) if described else "") for name in names))
    argument = place.argument()
    return Candidates() if argument is None else _values(argument, words, current)


def _starting(current: str, words: Pairs) -> Candidates:
    return Candidates(words=tuple((word, what) for word, what in words if word.startswith(current)))


class _Place:
    """Where on the command line one is: after a group, a command, or an option that waits for its value."""

    def __init__(self, before: Sequence[str]) -> None:
        self._command: Any = app.root()
        self._given: list[Any] = []
        self._arguments = 0
        self.option: Any = None
        self.is_literal = False
        for word in before:
            self._pass(word)

    def _pass(self, word: str) -> None:
        if self.option is not None:
            self.option = None
        elif word == "--" and not self.is_literal:
            self.is_literal = True
        elif word.startswith("-") and not self.is_literal:
            name, equals, _ = word.partition("=")
            option = self.options().get(name)
            self._given.append(option)
            self.option = None if option is None or equals or option.is_flag else option
        elif self.commands is not None and word in self.commands:
            self._command, self._given = self._command.commands[word], []
        else:
            self._arguments += 1

    @property
    def commands(self) -> Mapping[str, Any] | None:
        """The commands of the group one is in; None in a command."""
        found: Mapping[str, Any] | None = getattr(self._command, "commands", None)
        return found

    def help_of(self, name: str) -> str:
        """What a command of this group does."""
        return str(self._command.commands[name].get_short_help_str(100))

    def options(self) -> dict[str, Any]:
        """The options by each of their names."""
        params = [param for param in self._command.params if param.param_type_name == "option"]
        return {name: param for param in params for name in param.opts}

    def options_left(self) -> Pairs:
        """The long names of options that may still be given."""
        for name, option in self.options().items():
            if name.startswith("--") and (option.multiple or option not in self._given):
                yield name, option.help or ""
        yield "--help", "Show how the command is used."

    def argument(self) -> Any:
        """The argument that comes next; None where there are no more."""
        arguments = [param for param in self._command.params if param.param_type_name == "argument"]
        return arguments[self._arguments] if self._arguments < len(arguments) else None


def _values(param: Any, words: Sequence[str], current: str) -> Candidates:
    """What an option or an argument takes."""
    metavar = param.metavar or ""
    if metavar == "FILE":
        return Candidates("files")
    if metavar in ("FOLDER", "DIR"):
        return Candidates("folders")
    choices = _CHOICES.search(param.help or "")
    if choices is not None:
        return _starting(current, ((word, "") for word in choices[1].split(", ")))
    find = {"account": _accounts, "provider": _providers, "payment_id": _references}.get(param.name)
    return Candidates() if find is None else _starting(current, _known(find, words, current))


def _known(find: Callable[[str | None, str], Pairs], words: Sequence[str], current: str) -> Pairs:
    """Look words up; none where the configuration or the ledger can't be used."""
    try:
        return list(find(guess(words[:-1]).config, current))
    except PaycoreError:
        return []


def _accounts(config: str | None, _current: str) -> Pairs:
    from paycore.engine.config import load_config

    return [(name, account.provider) for name, account in load_config(config).accounts.items()]


def _providers(config: str | None, _current: str) -> Pairs:
    from paycore.cli.lookup import blocked_plugins
    from paycore.engine.plugins import Plugins

    blocked = blocked_plugins(GlobalOptions(config=config))
    return [(name, "") for name in Plugins(blocked=blocked).sandboxes()]


def _references(config: str | None, current: str) -> Pairs:
    """The newest payments by their references, or those whose reference begins as typed."""
    from paycore.cli.lookup import open_records
    from paycore.ledger.api import Filter

    with open_records(GlobalOptions(config=config)) as ledger:
        which = Filter(reference_prefix=current or None, limit=PAYMENTS_MAX)
        payments = ledger.list(which).result()
    return [
        (payment.reference, f"{payment.amount} {payment.status}")
        for payment in payments
        if _PLAIN.fullmatch(payment.reference)
    ]


# --- the answer to a shell --------------------------------------------------------------------------------


def print_answer(arguments: Sequence[str]) -> int:
    """Print the answer; `arguments` are the shell's name and the words."""
    shell, *words = arguments or ["bash"]
    Output(GlobalOptions()).data(answer(shell, words))
    return Exit.DONE


def answer(shell: str, words: Sequence[str]) -> str:
    """Return the lines that a shell's script reads, see `scripts`."""
    is_bash = shell == "bash"  # it shows no descriptions
    found = candidates(_joined(words) if is_bash else words, described=not is_bash)
    prefix = ""
    if shell == "fish" and words and words[-1].startswith("--") and "=" in words[-1]:
        prefix = words[-1].partition("=")[0] + "="  # fish replaces the whole word
    described = [word if is_bash else f"{prefix}{word}\t{clean(what)}" for word, what in found.words]
    return "\n".join([found.kind, *described])


def _joined(words: Sequence[str]) -> list[str]:
    """Put together what bash takes apart: `--status`, `=`, `pa`."""
    joined: list[str] = []
    is_open = False
    for word in words:
        is_equals = word == "=" and bool(joined) and joined[-1].startswith("--")
        if is_equals or is_open:
            joined[-1] += word
        else:
            joined.append(word)
        is_open = is_equals
    return joined
