"""`sandbox serve` serves the gateway of a provider, or those of all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli.app import options_of, pairs
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.new_file import write_new
from paycore.cli.output import Output
from paycore.cli.render.text import align
from paycore.cli.sandboxes.account_text import snippet, whole_config
from paycore.cli.sandboxes.registered import KnownSandboxes, explain_import

if TYPE_CHECKING:
    from paycore.errors import ConfigError
    from paycore.sandbox.api import Sandbox
    from paycore.sandbox.scenario import Scenario
    from paycore.sandbox.server import ServedSandbox

ACCOUNT = "sandbox"
"""The account of a sandbox that is served alone; one of several has the provider's name."""

PORT_MAX = 65535

Provider = Annotated[
    str | None,
    typer.Argument(metavar="PROVIDER", help="Whose gateway, such as qfpay-alipay.", show_default=False),
]
Every = Annotated[
    bool, typer.Option("--all", help="The gateways of all providers that are installed, on a port each.")
]
Port = Annotated[
    int,
    typer.Option(
        min=0, max=PORT_MAX, help="On 127.0.0.1; 0 takes a free one. With --all the first of several."
    ),
]
State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep the orders in this file over restarts; with --all a folder."),
]
AutoPay = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FOR=]DURATION",
        help="A simulated payer pays this long after an order, or off; FOR, such as reference:R, amount:8.00 or"
        " channel:qr, names the orders; may be repeated.",
    ),
]
ScenarioFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Rules in TOML for what becomes of orders, see docs/sandbox.md."),
]
Speed = Annotated[float, typer.Option(metavar="N", help="Seconds of the sandbox's clock per real second.")]
NotifyUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where notifications go that no order names a URL for; with --all the account's name is added.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of this sandbox; may be repeated. With --all PROVIDER.KEY=VALUE.",
    ),
]
WriteConfig = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a paycore.toml for what is served; no file is overwritten."),
]


def serve(
    context: typer.Context,
    provider: Provider = None,
    *,
    every: Every = False,
    port: Port = 8700,
    state: State = None,
    auto_pay: AutoPay = None,
    scenario: ScenarioFile = None,
    speed: Speed = 1.0,
    notify_url: NotifyUrl = None,
    settings: Settings = None,
    write_config: WriteConfig = None,
) -> int:
    """
    Serve a provider's gateway until Ctrl-C, or those of all.

    It has the provider's API with real signatures, wallet pages and faults on demand. Prints what a client needs first.
    """
    options = options_of(context)
    output = Output(options)
    if every and provider is not None:
        raise UsageProblem("name the PROVIDER whose gateway to serve, or give --all, and not both")
    if not every and provider is None:
        names = ", ".join(sorted(KnownSandboxes(options, output).names))
        raise UsageProblem(f"name the PROVIDER whose gateway to serve, one of {names}; or give --all")
    if not 0 < speed < float("inf"):
        raise UsageProblem(f"--speed: must be above 0, not {speed}")
    if notify_url is not None and not notify_url.startswith(("http://", "https://")):
        raise UsageProblem(
            f"--notify-url: {notify_url!r} is no URL of a web server: http://127.0.0.1:8080/shop"
        )
    _check_new(write_config)
    known = KnownSandboxes(options, output)
    found = known.every() if provider is None else [known.named(provider)]
    given = _settings(pairs("--set", settings or ()), found, every=every)
    rules = _rules(auto_pay or (), scenario, known.names)
    accounts = {one.name if every else ACCOUNT: one for one in found}
    if port + len(accounts) - 1 > PORT_MAX:
        raise UsageProblem(f"--port: {len(accounts)} ports from {port} on go beyond {PORT_MAX}")
    try:
        from paycore.sandbox.server import ServedSandbox
    except ImportError as error:
        explain_import(error)
    served = [
        ServedSandbox(
            sandbox=one,
            port=port and port + place,
            state=_state_of(one, state, output) if every else state,
            scenario=rules,
            speed=speed,
            notify_url=f"{notify_url.rstrip('/')}/{name}" if every and notify_url else notify_url,
            settings=given[one.name],
        )
        for place, (name, one) in enumerate(accounts.items())
    ]
    _serve(served, lambda ready: _announce(output, accounts, ready, write_config))
    output.say("sandboxes stopped" if every else "sandbox stopped")
    return Exit.DONE


def _check_new(write_config: Path | None) -> None:
    if write_config is not None and write_config.exists():
        raise _is_there(write_config)


def _write(path: Path, told: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    from paycore.errors import ConfigError

    try:
        write_new(path, "\n".join(whole_config(told)) + "\n")
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise ConfigError(f"--write-config: {path} can't be written: {error.strerror}") from None


def _is_there(path: Path) -> ConfigError:
    from paycore.errors import ConfigError

    return ConfigError(f"--write-config: {path} is there already and stays as it is; name another file")


def _settings(
    given: Mapping[str, str], found: Sequence[Sandbox], *, every: bool
) -> dict[str, Mapping[str, str]]:
    """Return the settings of each sandbox; those of several are `PROVIDER.KEY`."""
    if not every:
        return {found[0].name: given}
    names = [one.name for one in found]
    settings: dict[str, dict[str, str]] = {name: {} for name in names}
    for key, value in given.items():
        provider, point, own = key.partition(".")
        if not point or provider not in settings:
            raise UsageProblem(f"--set: {key!r} is not PROVIDER.KEY, with a provider of {', '.join(names)}")
        settings[provider][own] = value
    return dict(settings)


def _rules(auto_pay: Sequence[str], file: Path | None, providers: Collection[str]) -> Scenario:
    """Return what both options say."""
    from paycore.sandbox.scenario import joined, read_auto_pay

    try:
        rules = read_auto_pay(auto_pay)
    except ValueError as error:
        raise UsageProblem(f"--auto-pay: {error}") from None
    return rules if file is None else joined(rules, _read(file, providers))


def _read(file: Path, providers: Collection[str]) -> Scenario:
    from paycore.sandbox.faults import unknown_name
    from paycore.sandbox.scenario_files import read_scenario

    try:
        scenario = read_scenario(file)
    except OSError as error:
        raise UsageProblem(f"--scenario: {file} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageProblem(f"--scenario: {error}") from None
    named = [(rule.match.provider, f"{rule.place}.match.provider") for rule in scenario.rules]
    named += [(fault.provider, f"{fault.place}.provider") for fault in scenario.faults]
    for provider, place in named:
        if provider is not None and provider not in providers:
            raise UsageProblem(f"--scenario: {place}: {unknown_name('sandbox', provider, providers)}")
    return scenario


def _state_of(sandbox: Sandbox, folder: Path | None, output: Output) -> Path | None:
    """Return the state file of one of several sandboxes, where it keeps one."""
    if folder is None:
        return None
    if not getattr(sandbox, "keeps_state", True):
        output.say(f"{sandbox.name} keeps its orders in memory only")
        return None
    return folder / f"{sandbox.name}.jsonl"


def _serve(served: Sequence[ServedSandbox], on_ready: Callable[[Sequence[Mapping[str, str]]], None]) -> None:
    from paycore.errors import ConfigError
    from paycore.sandbox.server import SandboxNotOpened, serve_all

    try:
        serve_all(served, on_ready=on_ready)
    except ImportError as error:
        explain_import(error)
    except SandboxNotOpened as error:
        words = str(error.reason)
        if isinstance(error.reason, OSError):
            words = error.reason.strerror or words
        if error.port is not None:
            raise ConfigError(
                f"the sandbox can't be served on port {error.port}: {words}; --port 0 takes a free one"
            ) from None
        before = f"{error.sandbox}: " if len(served) > 1 else ""
        if isinstance(error.reason, OSError):
            raise ConfigError(f"{before}--state: the file can't be used: {words}") from None
        raise UsageProblem(f"{before}{words}") from None


def _announce(
    output: Output,
    accounts: Mapping[str, Sandbox],
    ready: Sequence[Mapping[str, str]],
    write_config: Path | None,
) -> None:
    """Print what clients need, and write the configuration if asked to."""
    told = {name: (one.name, said) for (name, one), said in zip(accounts.items(), ready, strict=True)}
    if write_config is not None:
        _write(write_config, told)
    is_alone = ACCOUNT in told
    if output.options.json:
        output.json(
            *(said if is_alone else {"provider": provider, **said} for provider, said in told.values())
        )
        return
    if is_alone:
        output.data(*(f"{name}: {value}" for name, value in ready[0].items()), "")
    else:
        output.data(*align([[provider, said["url"]] for provider, said in told.values()]), "")
    if write_config is not None:
        output.say(f"wrote {write_config}")
    elif is_alone:
        output.data("# paycore.toml", *snippet(ACCOUNT, *told[ACCOUNT]), "")
    else:
        output.data("# paycore.toml", *whole_config(told), "")
    where = ready[0]["url"] if is_alone else "one of the URLs"
    output.say(f"open {where} to see the orders; Ctrl-C ends the {'sandbox' if is_alone else 'sandboxes'}")
