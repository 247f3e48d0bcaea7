"""The sandboxes that plugins offer, and what is missing where one can't be served."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from paycore.cli.endings import UsageProblem
from paycore.cli.lookup import blocked_plugins
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.engine.plugins import Plugins
    from paycore.sandbox.api import Sandbox

_OF_THE_EXTRA = frozenset({"starlette", "uvicorn", "jinja2", "h11"})


def find_sandbox(options: GlobalOptions, provider: str, output: Output) -> Sandbox:
    """Return the sandbox of a provider."""
    from paycore.engine.wording import one_of
    from paycore.errors import ConfigError

    known, plugins = _known(options, output)
    if provider in known:
        return known[provider]
    message = f"no plugin offers a sandbox for {provider!r}; there are: {one_of(known)}{plugins.left_out()}"
    if plugins.failures:
        raise ConfigError(message)
    raise UsageProblem(message)


def find_sandboxes(options: GlobalOptions, output: Output) -> list[Sandbox]:
    """Return every sandbox there is, by the names of their providers; what can't be loaded is warned of."""
    known, plugins = _known(options, output)
    if plugins.left_out():
        output.warn(plugins.left_out().removeprefix("; "))
    return [known[name] for name in sorted(known)]


def _known(options: GlobalOptions, output: Output) -> tuple[dict[str, Sandbox], Plugins]:
    from paycore.engine.plugins import Plugins
    from paycore.errors import ConfigError

    output.show_log()
    plugins = Plugins(blocked=blocked_plugins(options))
    known: dict[str, Sandbox] = plugins.sandboxes()
    if not known:
        raise ConfigError(
            f"no plugin offers a sandbox{plugins.left_out()}; install the provider's plugin beside paycore,"
            " see docs/quickstart.md"
        )
    return known, plugins


def explain_import(error: ImportError) -> NoReturn:
    """Say how to install the extra when a package of it is missing; any other failed import is a bug."""
    from paycore.errors import ConfigError

    if (error.name or "").split(".")[0] not in _OF_THE_EXTRA:
        raise error
    raise ConfigError(
        f"the sandbox needs the package {error.name}: pip install 'paycore[sandbox]',"
        " and the provider's plugin with its extra [sandbox]"
    ) from None
