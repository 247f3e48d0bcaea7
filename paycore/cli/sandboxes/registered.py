"""The sandboxes that plugins offer, and what is missing where one can't be served."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from paycore.cli.endings import UsageProblem
from paycore.cli.lookup import blocked_plugins
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.sandbox.api import Sandbox

_OF_THE_EXTRA = frozenset({"starlette", "uvicorn", "jinja2", "h11"})


class KnownSandboxes:
    """The sandboxes there are; `ConfigError` where there is none."""

    def __init__(self, options: GlobalOptions, output: Output) -> None:
        from paycore.engine.plugins import Plugins
        from paycore.errors import ConfigError

        output.show_log()
        self._output = output
        self._plugins = Plugins(blocked=blocked_plugins(options))
        self._known: dict[str, Sandbox] = self._plugins.sandboxes()
        if not self._known:
            raise ConfigError(
                f"no plugin offers a sandbox{self._plugins.left_out()}; install the provider's plugin beside"
                " paycore, see docs/quickstart.md"
            )

    @property
    def names(self) -> list[str]:
        """The names of their providers."""
        return sorted(self._known)

    def named(self, provider: str) -> Sandbox:
        """Return the sandbox of a provider."""
        from paycore.engine.wording import one_of
        from paycore.errors import ConfigError

        if provider in self._known:
            return self._known[provider]
        message = (
            f"no plugin offers a sandbox for {provider!r}; there are: {one_of(self._known)}"
            f"{self._plugins.left_out()}"
        )
        if self._plugins.failures:
            raise ConfigError(message)
        raise UsageProblem(message)

    def every(self) -> list[Sandbox]:
        """Return every sandbox, by the names of their providers; what can't be loaded is warned of."""
        if self._plugins.left_out():
            self._output.warn(self._plugins.left_out().removeprefix("; "))
        return [self._known[name] for name in self.names]


def explain_import(error: ImportError) -> NoReturn:
    """Say how to install the extra when a package of it is missing; any other failed import is a bug."""
    from paycore.errors import ConfigError

    if (error.name or "").split(".")[0] not in _OF_THE_EXTRA:
        raise error
    raise ConfigError(
        f"the sandbox needs the package {error.name}: pip install 'paycore[sandbox]',"
        " and the provider's plugin with its extra [sandbox]"
    ) from None
