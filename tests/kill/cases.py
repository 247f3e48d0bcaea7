"""What is killed where: operations, steps, gateways."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from paycore.testing.toy import ResendEffect
from tests.support.toy_http import Duplicates

Operation = Literal[
    "create by link",
    "create at once",
    "capture",
    "capture once seen",
    "refund",
    "close",
    "void",
    "notification",
    "recovery",
    "list",
]
Database = Literal["sqlite", "postgres"]

TIMEOUT_S = 0.8
"""Total deadline of one call: after it no request of a dead process can be under way."""

PATIENCE_S = 30.0
"""Total deadline of a call of a process that is not killed."""

PROOF_S = 0.1
"""How much later "not found" is proof."""

STEPS: dict[str, str] = {
    "before the intent": "write 1 before",
    "inside the intent's transaction": "write 1 inside",
    "after the intent's commit": "write 1 after",
    "in the intent's hook": "hook 1",
    "before sending": "send before",
    "half of the request sent": "send half",
    "request sent, reply not there": "send written",
    "reply there, unread": "send answered",
    "reply read": "send after",
    "before the result": "write 2 before",
    "inside the result's transaction": "write 2 inside",
    "after the result's commit": "write 2 after",
    "in the result's hook": "hook 2",
    "before the caller hears of it": "end",
    "nowhere": "",
}
"""The steps of a command in words, and the place in the code where the process dies."""

NOTIFICATION_STEPS: dict[str, str] = {
    "before it is verified": "verify before",
    "after it is verified": "verify after",
    "before the transaction": "write 1 before",
    "inside the transaction": "write 1 inside",
    "after the commit": "write 1 after",
    "in the hook": "hook 1",
    "before the acknowledgement": "end",
    "nowhere": "",
}

RECOVERY_EFFECTS = 12
"""The longest recovery: claim, ask, merge, resend, refusal, close, its answer, new number, its answer, reschedule."""

RECOVERY_STEPS: dict[str, str] = {
    f"{when} effect {number}": f"effect {number} {when}"
    for number in range(1, RECOVERY_EFFECTS + 1)
    for when in ("before", "after")
}

SEEN_EFFECTS = 6
"""What a query does that sees an authorization: read, ask, merge, begin the capture, send it, its answer."""

SEEN_STEPS: dict[str, str] = {
    **{
        f"{when} effect {number}": f"effect {number} {when}"
        for number in range(1, SEEN_EFFECTS + 1)
        for when in ("before", "after")
    },
    "inside the authorization's transaction": "write 1 inside",
    "inside the capture's transaction": "write 2 inside",
    "inside the result's transaction": "write 3 inside",
    "in the authorization's hook": "hook 1",
    "in the capture's hook": "hook 2",
    "nowhere": "",
}


class Manner(msgspec.Struct, frozen=True):
    """How the gateway treats a known number, and what the provider declares about it."""

    name: str
    duplicates: Duplicates
    declares: ResendEffect


REFUSES = Manner("refuses duplicates", "refuse", "refused_as_duplicate")
NASTY = Manner("charges blindly, declared as refusing", "charge_blindly", "refused_as_duplicate")

MANNERS = (
    REFUSES,
    NASTY,
    Manner("charges blindly", "charge_blindly", "unsafe"),
    Manner("answers with the order it has", "same_result", "same_result"),
)


class Case(msgspec.Struct, frozen=True):
    """One process to kill; `mutant` names the planted bug, if any."""

    operation: Operation
    step: str
    manner: Manner
    database: Database
    round: int = 0
    mutant: str = ""

    @property
    def place(self) -> str:
        """Where in the code the process dies; empty if it is not killed."""
        return steps_of(self.operation)[self.step]

    def __str__(self) -> str:
        return f"{self.operation}: {self.step} ({self.manner.name}, {self.database}, round {self.round})"


def steps_of(operation: Operation) -> dict[str, str]:
    """The steps of an operation, and the places they stand for."""
    match operation:
        case "notification":
            return NOTIFICATION_STEPS
        case "recovery":
            return RECOVERY_STEPS
        case "capture once seen":
            return SEEN_STEPS
        case _:
            return STEPS


OPERATIONS: tuple[Operation, ...] = (
    "create by link",
    "create at once",
    "capture",
    "capture once seen",
    "refund",
    "close",
    "void",
    "notification",
    "recovery",
)


def all_cases(
    databases: Sequence[Database], rounds: int = 1, manners: Sequence[Manner] = MANNERS
) -> Iterator[Case]:
    """Every operation at every step, with every gateway, on every database, this many times."""
    for number in range(rounds):
        for database in databases:
            for manner in manners:
                for operation in OPERATIONS:
                    for step in steps_of(operation):
                        yield Case(operation, step, manner, database, number)
