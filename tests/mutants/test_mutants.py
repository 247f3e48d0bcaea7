"""Mutants are made, and take effect where the code is used."""

import subprocess
import sys
from pathlib import Path

from tests.mutants.equivalent import listed
from tests.mutants.sources import MODULES, ROOT, mutants_of

PLANTED = """
from paycore.domain import schedule, payment
from paycore.domain.schedule import interval_s as imported_elsewhere
from tests.mutants.planting import plant
from tests.mutants.sources import Mutant

def planted(module, where, source, is_function):
    plant(Mutant(module=module, where=where, removed="", added="", nth=0, source=source, is_function=is_function))

assert imported_elsewhere(1e9) == 60
planted("paycore.domain.schedule", "INTERVAL_MAX_S", "INTERVAL_MAX_S = 61.0", False)
assert imported_elsewhere(1e9) == 61
planted("paycore.domain.schedule", "interval_s", "def interval_s(age_s): return 7.0", True)
assert imported_elsewhere(1e9) == 7
planted("paycore.domain.payment", "Status.is_final", "@property\\ndef is_final(self): return 8", True)
assert payment.Status.PENDING.is_final == 8
planted("paycore.domain.money", "Money.from_minor", "@classmethod\\ndef from_minor(cls, *_, **__): return 9", True)
from paycore import Money
assert Money.from_minor(1, "HKD") == 9
"""


def test_mutants_are_of_functions_properties_and_what_a_module_assigns() -> None:
    """Each kind is there, and each mutant has a unique key."""
    mutants = [*mutants_of("paycore.domain.schedule"), *mutants_of("paycore.domain.bounds")]
    mutants += [mutant for mutant in mutants_of("paycore.domain.payment") if mutant.where == "Payment.review"]
    assert {"interval_s", "due_at", "LATE_CHECKS", "Payment.review"} <= {mutant.where for mutant in mutants}
    assert len({mutant.key for mutant in mutants}) == len(mutants)
    assert all((mutant.removed, mutant.added) != ("", "") for mutant in mutants)


def test_mutant_is_planted_wherever_its_name_went() -> None:
    """In assignments, functions imported by name, properties and class methods."""
    done = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_list_gives_a_reason_for_each_entry_once() -> None:
    """Every entry is about a mutated module, and gives a reason."""
    entries = listed()
    assert len({entry.key for entry in entries}) == len(entries)
    assert {entry.module for entry in entries} <= set(MODULES)
    assert all(len(entry.reason.split()) > 3 for entry in entries)


def test_every_changed_module_exists() -> None:
    """A renamed module does not silently drop out of the figure."""
    for module in MODULES:
        home = ROOT if module.startswith("paycore.") else ROOT / "plugins/qfpay_alipay"
        assert (home / Path(*module.split("."))).with_suffix(".py").is_file(), module
