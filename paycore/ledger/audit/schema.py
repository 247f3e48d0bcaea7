"""Checks that tables, indexes and triggers are those that the migrations create."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from paycore.ledger import migrations
from paycore.ledger.audit.verdicts import Verdict, of_ledger
from paycore.ledger.history import Readable

MISSING = "missing"

Objects = dict[str, str]
"""What a database contains, by kind and name, with the significant part of its definition."""


def schema_differences(ledger: Readable) -> Iterator[Verdict]:
    """Each migration, table, index and trigger that is missing or altered, and each additional trigger."""
    wanted, found = _EXPECTED[ledger.dialect](), _FOUND[ledger.dialect](ledger)
    for name, definition in wanted.items():
        if found.get(name) != definition:
            yield of_ledger(name, found.get(name, MISSING), definition)
    for name in found.keys() - wanted.keys():
        if name.startswith("trigger "):
            yield of_ledger(name, found[name], "no trigger")
    yield from _migration_differences(ledger)


def _migration_differences(ledger: Readable) -> Iterator[Verdict]:
    rows = ledger.read(lambda tx: tx.execute("SELECT schema, sha256 FROM meta").fetchall()).result()
    applied: dict[int, str] = dict(rows)
    for migration in migrations.load_migrations(ledger.dialect):
        stored = applied.get(migration.number, MISSING)
        if stored != migration.sha256:
            yield of_ledger(f"meta {migration.number}", stored, migration.sha256)


# --- SQLite ------------------------------------------------------------------------------------------

_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def _expected_sqlite() -> Objects:
    """What an in-memory database contains after the migrations."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute(migrations.META["sqlite"])
        for migration in migrations.load_migrations("sqlite"):
            made.executescript(migration.sql)
        return {f"{kind} {name}": _bare(sql) for kind, name, sql in made.execute(_SQLITE)}


def _found_sqlite(ledger: Readable) -> Objects:
    rows = ledger.read(lambda tx: tx.execute(_SQLITE).fetchall()).result()
    return {f"{kind} {name}": _bare(sql) for kind, name, sql in rows}


def _bare(sql: str) -> str:
    """The definition in one line, without comments and quoted names."""
    return " ".join(re.sub(r"--[^\n]*", "", sql).replace('"', "").split())


# --- PostgreSQL --------------------------------------------------------------------------------------

_CREATED = re.compile(r"CREATE (?:UNIQUE )?(?P<kind>INDEX|TRIGGER) (?P<name>\w+)[^;]*", re.DOTALL)
_DROPPED = re.compile(r"DROP (?P<kind>INDEX|TRIGGER|CONSTRAINT|FUNCTION)(?: IF EXISTS)? (?P<name>\w+)")
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (?P<name>\w+)[^$]*\$\$(?P<body>.*?)\$\$", re.DOTALL)
_TABLE = re.compile(r"CREATE TABLE (?P<name>\w+) \((?P<columns>.*?)\n\)", re.DOTALL)
_ADDED = re.compile(r"ADD CONSTRAINT (?P<name>\w+)")
_KEYS = re.compile(r"^(?P<kind>PRIMARY KEY|UNIQUE) \((?P<columns>[^)]*)\)")

_NAMESPACE = "(SELECT relnamespace FROM pg_class WHERE oid = to_regclass('meta'))"
_POSTGRES = f"""
SELECT 'index ' || c.relname, pg_get_indexdef(c.oid), i.indisvalid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE c.relnamespace = {_NAMESPACE} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)
UNION ALL
SELECT 'trigger ' || t.tgname, pg_get_triggerdef(t.oid), t.tgenabled IN ('O', 'A')
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = {_NAMESPACE} AND NOT t.tgisinternal AND c.relname = ANY(?)
UNION ALL
SELECT 'function ' || p.proname, p.prosrc, true FROM pg_proc p WHERE p.pronamespace = {_NAMESPACE}
UNION ALL
SELECT 'constraint ' || k.conname, '', NOT EXISTS (
       SELECT 1 FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled NOT IN ('O', 'A'))
  FROM pg_constraint k WHERE k.connamespace = {_NAMESPACE} AND k.contype IN ('p', 'u', 'f')
"""  # noqa: S608 - all of it is ours


def _found_postgres(ledger: Readable) -> Objects:
    # Other tables in the same database belong to others, and so do their triggers.
    tables = [
        found["name"]
        for file in migrations.load_migrations("postgres")
        for found in _TABLE.finditer(file.sql)
    ]
    rows = ledger.read(lambda tx: tx.execute(_POSTGRES, ([*tables, "meta"],)).fetchall()).result()
    return {name: _definition(name, sql) if is_on else "switched off" for name, sql, is_on in rows}


def _expected_postgres() -> Objects:
    """What the migrations create, by their text: there is no database to run them in."""
    objects: Objects = {}
    for sql in (migrations.META["postgres"], *(file.sql for file in migrations.load_migrations("postgres"))):
        for _, name, definition in sorted(_made(re.sub(r"--[^\n]*", "", sql))):
            if definition is None:
                objects.pop(name, None)
            else:
                objects[name] = definition
    return objects


def _made(sql: str) -> Iterator[tuple[int, str, str | None]]:
    """What a schema file creates and drops (None): where in the file, what, and its definition."""
    for function in _FUNCTION.finditer(sql):
        name = f"function {function['name']}"
        yield function.start(), name, _definition(name, function["body"])
    for created in _CREATED.finditer(sql):
        name = f"{created['kind'].lower()} {created['name']}"
        yield created.start(), name, _definition(name, created[0])
    for added in _ADDED.finditer(sql):
        yield added.start(), f"constraint {added['name']}", ""
    for table in _TABLE.finditer(sql):
        for name in _constraints(table["name"], table["columns"]):
            yield table.start(), f"constraint {name}", ""
    for dropped in _DROPPED.finditer(sql):
        yield dropped.start(), f"{dropped['kind'].lower()} {dropped['name']}", None


def _constraints(table: str, columns: str) -> Iterator[str]:
    """PostgreSQL's names for the keys and references of a table."""
    for line in (line.strip() for line in columns.splitlines()):
        keys = _KEYS.match(line)
        if keys is not None:
            is_primary = keys["kind"] == "PRIMARY KEY"
            yield f"{table}_pkey" if is_primary else f"{table}_{'_'.join(keys['columns'].split(', '))}_key"
        elif "PRIMARY KEY" in line:
            yield f"{table}_pkey"
        elif "REFERENCES" in line:
            yield f"{table}_{line.split()[0]}_fkey"


def _definition(name: str, sql: str) -> str:
    """A definition, from a schema file or from PostgreSQL, in normal form."""
    words = re.sub(r"::\w+|\bUSING btree\b|\b(?:\w+|\"[^\"]+\")\.(?=\w)|['\"()]", " ", sql)
    words = re.sub(r"\s*([=,;]|<>)\s*", r" \1 ", words)
    if name.startswith("trigger "):
        words = re.sub(r"(BEFORE|AFTER) (.*?) ON ", _sorted_events, words, flags=re.DOTALL)
    return " ".join(words.split())


def _sorted_events(found: re.Match[str]) -> str:
    return f"{found[1]} {' OR '.join(sorted(found[2].split(' OR ')))} ON "


_EXPECTED: Mapping[str, Callable[[], Objects]] = {"sqlite": _expected_sqlite, "postgres": _expected_postgres}
_FOUND: Mapping[str, Callable[[Readable], Objects]] = {"sqlite": _found_sqlite, "postgres": _found_postgres}
