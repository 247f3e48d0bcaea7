"""An account: its settings, its hosts, its credentials, and what it has spent of its request budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from paycore.cli.doctor.diagnosis import Area, Checks, Diagnosis
from paycore.cli.doctor.ledger_checks import OpenedLedger
from paycore.cli.doctor.notification_checks import check_notifications
from paycore.cli.doctor.reach_checks import Reaches
from paycore.cli.endings import Exit
from paycore.cli.render.text import count as count_of
from paycore.cli.render.text import duration
from paycore.domain.budget import Spent, share, used
from paycore.engine.accounts import Account, Accounts
from paycore.engine.attempts import Attempts
from paycore.engine.credentials import try_credentials
from paycore.engine.orders import new_id
from paycore.engine.runner import Runner
from paycore.engine.waiter import Waiter
from paycore.errors import AccountRefused, LedgerError, NotSent, NotSupported, PaycoreError, PluginError
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from paycore.ledger.sqlite.ledger import SqliteLedger

BUDGET_WARNING = 0.8
"""The part of a minute's requests from which there may be too few for a rush."""


def check_account(
    accounts: Accounts, name: str, opened: OpenedLedger, reaches: Reaches, say: Callable[[str], None]
) -> Checks:
    """One account, by requests that move nothing; `say` is told what is going on."""
    area = Area(f"account {name}")
    try:
        account = accounts.get(name)
    except PaycoreError as error:
        yield area.problem("settings", error.message, "correct it in the configuration")
        for check in ("network", "credentials", "budget", "notifications"):
            yield area.unchecked(check, "the settings can't be used")
        return
    main = account.base_urls[""]
    yield area.ok("settings", f"{account.provider_name}, mode {account.mode}, {main}")
    is_reached = True
    for url in dict.fromkeys(account.base_urls.values()):
        say(f"{name}: {url}")
        for found in reaches.to(area, url, account.tls):
            yield found
            is_reached = is_reached and (found.verdict != "problem" or found.check == "clock")
    say(f"{name}: credentials")
    if is_reached:
        yield _credentials(area, account, opened.to_write)
    else:
        yield area.unchecked("credentials", "its hosts are not reached")
    yield _budget(area, account, opened)
    yield check_notifications(area, account, opened)


def _credentials(area: Area, account: Account, ledger: SqlLedger | None) -> Diagnosis:
    try:
        with _asking(account, ledger) as (runner, attempts):
            accepted = runner.run(try_credentials(account, attempts))
    except PaycoreError as error:
        return _not_accepted(area, account, error)
    except OSError as error:
        return area.unchecked("credentials", f"no file can be made in the folder for such: {error.strerror}")
    if accepted.list_problem is not None:
        return area.warning(
            "credentials",
            f"the provider answered when asked {accepted.asked}, and refuses its list: {accepted.list_problem}",
            "allow this account to read it, for `reconcile` needs it",
        )
    return area.ok("credentials", f"accepted: the provider answered when asked {accepted.asked}")


def _not_accepted(area: Area, account: Account, error: PaycoreError) -> Diagnosis:
    words, host = error.message.removeprefix(f"account {account.name}: "), account.base_urls[""]
    match error:
        case NotSupported() | LedgerError():
            return area.unchecked("credentials", words)
        case AccountRefused():
            advice = f"correct the account's keys; they must be those for {host} and mode {account.mode}"
            return area.problem("credentials", words, advice)
        case NotSent(retry_after_s=float()):
            return area.warning("credentials", words, "run this again then")
        case PluginError():
            return area.problem("credentials", words, "upgrade the plugin, or tell its author")
        case _:
            advice = f"check that {host} is the host of {account.provider_name} for mode {account.mode}"
            return area.problem("credentials", words, advice, Exit.NOT_SENT)


@contextmanager
def _asking(account: Account, ledger: SqlLedger | None) -> Iterator[tuple[Runner, Attempts]]:
    """What asks: within the account's request budget, where there is a ledger that knows it."""
    if ledger is None:
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(SqliteLedger(Path(folder) / "empty.db")) as empty,
        ):
            with _asking(account, empty) as asking:
                yield asking
            return
    runner = Runner(ledger, Waiter(ledger, lambda _: None))
    try:
        yield runner, Attempts((), now=ledger.now, new_id=new_id)
    finally:
        runner.close()


def _budget(area: Area, account: Account, opened: OpenedLedger) -> Diagnosis:
    if opened.to_read is None:
        return area.unchecked("budget", opened.why_not)
    try:
        spent = opened.to_read.budgets().result().get(account.name, Spent())
    except PaycoreError as error:
        return area.unchecked("budget", error.message)
    now_ms, budget = to_ms(opened.now()), account.capabilities.budget
    count, part = used(spent, now_ms), share(spent, now_ms)
    found = f"{count} of {budget.per_minute} requests a minute, {budget.per_second} a second"
    if spent.rests_until_ms > now_ms:
        rests = duration((spent.rests_until_ms - now_ms) / 1000)
        found += f"; the provider refuses more for {rests}"
    if part < 1:
        found += f"; it refused some lately, so questions have {part:.0%} of it"
        advice = "find who else uses these credentials: paycore stays within the budget"
        return area.warning("budget", found, advice)
    if spent.unanswered:
        found += f"; no answer to the last {count_of(spent.unanswered, 'question')}"
        return area.warning("budget", found, "see the lines above on its hosts and credentials")
    if count > BUDGET_WARNING * budget.per_minute:
        return area.warning(
            "budget", found, "ask the provider for more, or expect to be told of payments later"
        )
    return area.ok("budget", found)
