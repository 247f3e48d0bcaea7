"""Bugs for the checks of `acknowledgements`."""

from paycore.plugin import Reply
from paycore.testing.toy import ToyProvider
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class CountsAnswers(ToyProvider):
    """Answers with a number that grows."""

    _count = 0

    def acknowledge(self) -> Reply:
        """See `FullProvider`."""
        self._count += 1
        return Reply(body=f"ok {self._count}".encode())


class AnswersText(ToyProvider):
    """Answers with text where bytes belong."""

    def acknowledge(self) -> Reply:
        """See `FullProvider`."""
        return Reply(body="ok")  # type: ignore[arg-type]


class AnswersElsewhere(ToyProvider):
    """Answers with a redirect."""

    def acknowledge(self) -> Reply:
        """See `FullProvider`."""
        return Reply(status=302, body=b"ok")


class AnswersInCapitals(ToyProvider):
    """Answers with what the gateway does not take for an answer."""

    def acknowledge(self) -> Reply:
        """See `FullProvider`."""
        return Reply(body=b"OK")


BUGS = [
    Planted("acknowledgement_is_constant", "it counts", toy(CountsAnswers)),
    Planted("acknowledgement_is_constant", "its body is text", toy(AnswersText)),
    Planted("acknowledgement_is_constant", "it is a redirect", toy(AnswersElsewhere)),
    Planted("acknowledged_notification_is_not_sent_again", "it is in other letters", toy(AnswersInCapitals)),
]
