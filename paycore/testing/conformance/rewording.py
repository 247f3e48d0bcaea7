"""Good replies with other words, other amounts or further fields: what a provider must notice, or must not mind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from paycore.domain.money import Money
from paycore.domain.wire import Response
from paycore.testing.conformance.hostile import NO_TREE, Sign, tree_in, with_tree

Path = tuple[str | int, ...]
"""Keys and indexes from the top of a JSON document to a leaf."""

_TELLS_STATE = re.compile(r"(status|state|result|outcome)$", re.IGNORECASE)
_NO_STATE = re.compile(r"currency|country|postal|zip|cur_?code|lang", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z_. -]*|\d{1,6}")
_REMOVED = object()

NEW_FIELD = {"kit_new_field": "x"}
"""What a company adds to its replies one day; a text, as every object has place for, a map of texts too."""

NEW_OBJECT = {"kit_new_object": {"a": [1, "x", None], "b": {}}}
"""The same, for the whole reply."""


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each leaf of the tree with its path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree


def rewritten(tree: Any, changes: Mapping[Path, Any], path: Path = ()) -> Any:
    """The tree with other leaves; those that are removed go with their keys."""
    if isinstance(tree, dict):
        return {
            key: rewritten(value, changes, (*path, key))
            for key, value in tree.items()
            if changes.get((*path, key)) is not _REMOVED
        }
    if isinstance(tree, list):
        return [rewritten(value, changes, (*path, index)) for index, value in enumerate(tree)]
    return changes.get(path, tree)


# --- words -------------------------------------------------------------------------------------------


def state_keys(before: Response, after: Response, amount: Money) -> frozenset[str]:
    """The keys whose word is another one in the reply of a paid order than in that of an unpaid one."""
    changed, earlier = _changed(before, after, amount), tree_in(before)
    return frozenset(_key(path) for path, _ in leaves(earlier) if path in changed)


def with_unknown_words(
    good: Response,
    amount: Money,
    sign: Sign,
    *,
    keys: frozenset[str] = frozenset(),
    before: Response | None = None,
) -> Iterator[tuple[str, Response]]:
    """
    The reply with words that nobody knows, where it has fields that tell a state; each with words for it.

    Those are called status, state, result or outcome, or one of `keys`. `before`: the reply when the order had another
    state. Then the words that differ are unknown too.
    """
    tree = tree_in(good)
    if tree is NO_TREE:
        return
    words = {path: _unknown(leaf) for path, leaf in leaves(tree) if _is_word(path, leaf, amount, keys)}
    telling = {path: word for path, word in words.items() if _tells_state(path, keys)}
    if telling:
        yield f"with unknown words in {_names(telling)}", with_tree(good, rewritten(tree, telling), sign)
        yield "with an unknown word for each word", with_tree(good, rewritten(tree, words), sign)
    changed = {} if before is None else _changed(before, good, amount)
    if changed and before is not None:
        was = dict(leaves(tree_in(before)))
        flags = {path: was[path] for path, leaf in leaves(tree) if isinstance(leaf, bool) and path in was}
        yield (
            f"with unknown words in {_names(changed)}",
            with_tree(good, rewritten(tree, changed | flags), sign),
        )


def _changed(before: Response, after: Response, amount: Money) -> dict[Path, Any]:
    """Unknown words for those that differ."""
    earlier, later = tree_in(before), tree_in(after)
    if earlier is NO_TREE or later is NO_TREE:
        return {}
    was = dict(leaves(earlier))
    return {
        path: _unknown(leaf)
        for path, leaf in leaves(later)
        if was.get(path) != leaf and _is_word(path, leaf, amount, frozenset())
    }


def _names(paths: Mapping[Path, Any]) -> str:
    return ", ".join(dict.fromkeys(map(_key, paths)))


def _tells_state(path: Path, keys: frozenset[str]) -> bool:
    return _key(path) in keys or bool(_TELLS_STATE.search(_key(path)))


def _is_word(path: Path, leaf: Any, amount: Money, keys: frozenset[str]) -> bool:
    if _NO_STATE.search(_key(path)) or _is_amount(leaf, amount):
        return False
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        return _tells_state(path, keys)
    return isinstance(leaf, str) and bool(_WORD.fullmatch(leaf)) and leaf.upper() != amount.currency.upper()


def _unknown(leaf: Any) -> Any:
    if isinstance(leaf, int):
        return 876_543
    if leaf.isdigit():
        return "876543"[: len(leaf)]
    return "KIT_UNKNOWN" if leaf.isupper() else "kit_unknown"


def _key(path: Path) -> str:
    return next((str(step) for step in reversed(path) if isinstance(step, str)), "")


# --- records -----------------------------------------------------------------------------------------


def with_broken_record(good: Response, names: frozenset[str], sign: Sign) -> Response | None:
    """
    The reply with the record that has one of these names broken: nothing but its names can be read.

    None where no record has one.
    """
    tree = tree_in(good)
    paths = (
        [path for path, leaf in leaves(tree) if isinstance(leaf, str) and leaf in names]
        if tree is not NO_TREE
        else []
    )
    if not paths:
        return None
    record = min((path[:-1] for path in paths), key=len)
    broken: dict[Path, Any] = {
        path: {}
        for path, leaf in leaves(tree)
        if path[: len(record)] == record and not (isinstance(leaf, str) and leaf in names)
    }
    return with_tree(good, rewritten(tree, broken), sign) if broken else None


# --- fields ------------------------------------------------------------------------------------------


def with_new_fields(good: Response, sign: Sign) -> Response | None:
    """The reply with a further field in each object; None where it is not JSON."""
    tree = tree_in(good)
    if tree is NO_TREE:
        return None
    grown = _grown(tree)
    return with_tree(good, grown | NEW_OBJECT if isinstance(grown, dict) else grown, sign)


def _grown(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _grown(value) for key, value in tree.items()} | NEW_FIELD
    return [_grown(value) for value in tree] if isinstance(tree, list) else tree


# --- amounts -----------------------------------------------------------------------------------------


def with_other_amounts(good: Response, amount: Money, sign: Sign) -> Iterator[tuple[str, Response]]:
    """The reply of another amount or currency, or of half of one, each with words for it."""
    tree = tree_in(good)
    if tree is NO_TREE:
        return
    amounts = {path: leaf for path, leaf in leaves(tree) if _is_amount(leaf, amount)}
    currencies = {path: leaf for path, leaf in leaves(tree) if _is_currency(leaf, amount)}
    if not amounts:
        return
    less = {path: _less(leaf, amount) for path, leaf in amounts.items()}
    yield "of a minor unit less", with_tree(good, rewritten(tree, less), sign)
    garbled = {path: "7-9" if isinstance(leaf, str) else -7 for path, leaf in amounts.items()}
    yield "of an amount that can't be read", with_tree(good, rewritten(tree, garbled), sign)
    if not currencies:
        return
    other = {path: _another(leaf) for path, leaf in currencies.items()}
    yield "in another currency", with_tree(good, rewritten(tree, other), sign)
    unnamed = less | dict.fromkeys(currencies, _REMOVED)
    yield "of a minor unit less, without a currency", with_tree(good, rewritten(tree, unnamed), sign)
    bare = other | dict.fromkeys(amounts, _REMOVED)
    yield "in another currency, without an amount", with_tree(good, rewritten(tree, bare), sign)


def _is_amount(leaf: Any, amount: Money) -> bool:
    if isinstance(leaf, bool):
        return False
    if isinstance(leaf, str):
        return leaf in (str(amount.minor), amount.text)
    return isinstance(leaf, (int, float)) and (leaf == amount.minor or str(leaf) == amount.text)


def _less(leaf: Any, amount: Money) -> Any:
    less = Money.from_minor(amount.minor - 1, amount.currency)
    if str(leaf) == str(amount.minor):
        return type(leaf)(less.minor)
    return type(leaf)(less.text)


def _is_currency(leaf: Any, amount: Money) -> bool:
    return isinstance(leaf, str) and leaf.upper() == amount.currency.upper()


def _another(leaf: str) -> str:
    """Another currency of two decimals, written alike."""
    other = "CHF" if leaf.upper() != "CHF" else "EUR"
    return other.lower() if leaf.islower() else other
