"""Notifications that are not signed in a header: in the query string, or inside, over what their fields say."""

import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec
import pytest

from paycore.plugin import MalformedNotification, NotAuthentic, Notice, Notification
from paycore.testing.conformance.check import Check, all_checks
from paycore.testing.conformance.running import run_check
from paycore.testing.toy import SIGNATURE_HEADER, ToyProvider
from paycore.testing.toy.toy_answers import UNREADABLE, ToyRecord, observation_in, signed_form
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy

pytestmark = pytest.mark.proof

GROUPS = ("notifications", "authenticity", "acknowledgements")
CHECKS = [check for check in all_checks() if check.group in GROUPS]


class QuerySignedToy(ToyProvider):
    """A toy whose notifications are signed in the query string."""

    info = msgspec.structs.replace(
        ToyProvider.info, notification_headers=frozenset(), notification_query=True
    )

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        given = dict(parse_qsl(notification.query)).get("sign", "")
        head = {SIGNATURE_HEADER: given.encode(errors="replace").decode()}
        return super().verify(msgspec.structs.replace(notification, headers=head))


class FormSignedToy(ToyProvider):
    """A toy whose notifications are forms that are signed inside, over what their fields say."""

    info = msgspec.structs.replace(ToyProvider.info, notification_headers=frozenset())

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        fields = dict(parse_qsl(notification.body.decode(errors="replace"), keep_blank_values=True))
        given = fields.pop("sign", "")
        made = (signed_form(fields, key.reveal()) for key in self._settings.key)
        if not any(hmac.compare_digest(one.rpartition(b"=")[2], given.encode()) for one in made):
            raise NotAuthentic("the form's signature does not hold")
        try:
            return [observation_in(msgspec.convert(fields, ToyRecord, strict=False))]
        except UNREADABLE:
            raise MalformedNotification("the form is no record") from None


class BelievesTheQuery(QuerySignedToy):
    """Takes any notification that has a signature."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        if "sign=" not in notification.query:
            raise NotAuthentic("there is no signature")
        return [observation_in(msgspec.json.decode(notification.body, type=ToyRecord))]


class BelievesTheForm(FormSignedToy):
    """Reads the form, whatever its signature."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        fields = dict(parse_qsl(notification.body.decode(errors="replace"), keep_blank_values=True))
        try:
            return [observation_in(msgspec.convert(fields, ToyRecord, strict=False))]
        except UNREADABLE:
            raise MalformedNotification("the form is no record") from None


SUBJECTS = {
    "in the query": (
        toy(QuerySignedToy, ToySandbox(in_query=True)),
        toy(BelievesTheQuery, ToySandbox(in_query=True)),
    ),
    "inside": (toy(FormSignedToy, ToySandbox(forms=True)), toy(BelievesTheForm, ToySandbox(forms=True))),
}


@pytest.mark.parametrize("where", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_check_takes_notifications_signed_elsewhere(check: Check, where: str) -> None:
    """No check of notifications fails a provider that verifies them there."""
    result = run_check(SUBJECTS[where][0], check)
    assert result.verdict != "failed", result.why


@pytest.mark.parametrize("where", SUBJECTS)
@pytest.mark.parametrize(
    "name",
    [
        "changed_body_is_refused",
        "notification_of_another_key_is_refused",
        "notification_of_another_account_is_refused",
    ],
)
def test_nothing_verified_is_found_there_too(name: str, where: str) -> None:
    """Each of the checks that a signature is looked at fails a provider that does not."""
    (check,) = (one for one in CHECKS if one.name == name)
    assert run_check(SUBJECTS[where][1], check).verdict == "failed"
