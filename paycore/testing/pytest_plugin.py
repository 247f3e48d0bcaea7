"""
The conformance kit in pytest: one test per check, by a line in a test module or a line in the ini file.

```python
from paycore.testing import conformance_of

test_conformance = conformance_of("acme")
```

```toml
[tool.pytest.ini_options]
paycore_conformance = ["acme"]   # "acme region=hk" gives its account a setting that the sandbox does not name
```

The line in the ini file needs no module; its tests run when the whole suite does, not when pytest is given paths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from paycore.testing.conformance.check import Check
    from paycore.testing.conformance.subject import Subject

INI = "paycore_conformance"


def conformance_of(
    provider: str | Subject, *, only: Collection[str] = (), **settings: Any
) -> Callable[..., None]:
    """
    A test function that is run once per check: assign it to a name that pytest collects.

    `provider` is an installed provider's name, or a `Subject`; `only` names the checks, all where it is empty;
    `settings` are those of its account that the sandbox does not name. A check that does not apply is skipped, with
    the reason. Raises `ConfigError` where no check has a name of `only`.
    """
    from paycore.testing.conformance.running import chosen

    subject = cache(partial(_subject, provider, settings))

    @pytest.mark.parametrize("check", chosen(only), ids=lambda check: check.name)
    def test_conformance(check: Check) -> None:
        """The provider meets the requirement that the check is named for."""
        __tracebackhide__ = True
        _tell(subject(), check)

    return test_conformance


def _subject(provider: str | Subject, settings: dict[str, Any], *, is_typed: bool = False) -> Subject:
    """The subject, once it is known that the kit can begin with it; `is_typed`: the settings are text."""
    from paycore.engine.plugins import Plugins
    from paycore.errors import ConfigError
    from paycore.testing.conformance.running import begin
    from paycore.testing.conformance.subject import settings_from, subject_named

    try:
        if isinstance(provider, str):
            plugins = Plugins()
            if is_typed:
                settings = settings_from(settings, plugins.provider(provider))
            provider = subject_named(provider, plugins=plugins, settings=settings)
        begin(provider)
    except ConfigError as error:
        problem = error.message
    else:
        return provider
    pytest.fail(problem, pytrace=False)


def _tell(subject: Subject, check: Check) -> None:
    """Run a check, and have pytest say what became of it."""
    from paycore.testing.conformance.running import run_check

    result = run_check(subject, check)
    if result.verdict == "not applicable":
        pytest.skip(result.why)
    if result.verdict == "failed":
        told = {
            "required": result.requirement,
            "seen": result.why,
            "change": result.advice,
            "read": result.read,
        }
        lines = [f"  {name + ':':10}{words}" for name, words in told.items() if words]
        pytest.fail("\n".join([result.check, *lines]), pytrace=False)


# --- the line in the ini file ------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini line."""
    parser.addini(
        INI, "providers to check by paycore's conformance kit: NAME [KEY=VALUE ...]", "linelist", []
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test per check of each provider that the ini file names, before `-k` selects."""
    lines = config.getini(INI)
    if not lines or config.args_source is pytest.Config.ArgsSource.ARGS:
        return
    from paycore.testing.conformance.check import all_checks

    for line in lines:
        name, *pairs = line.split()
        subject = cache(partial(_subject, name, dict(map(_setting, pairs)), is_typed=True))
        items += [
            _ConformanceItem.from_parent(
                session,
                name=check.name,
                nodeid=f"{INI}::{name}::{check.name}",
                subject=subject,
                check=check,
            )
            for check in all_checks()
        ]


def _setting(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise pytest.UsageError(f"{INI}: {pair!r} is not KEY=VALUE")
    return key, value


class _ConformanceItem(pytest.Item):
    """One check of one provider."""

    def __init__(self, *, subject: Callable[[], Subject], check: Check, **options: Any) -> None:
        super().__init__(**options)
        self._subject = subject
        self._check = check

    def runtest(self) -> None:
        _tell(self._subject(), self._check)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.nodeid
