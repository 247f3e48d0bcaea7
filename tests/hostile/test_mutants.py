"""Planted bugs: each must be found by the check that stands for its row."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import httpx2
import pytest

from paycore.domain.provider import Secret
from paycore.engine import answers, checks, secrecy, transport
from paycore.errors import InvalidField, NotSent
from paycore.testing.toy import ToyProvider
from qfpay_alipay import api, messages
from qfpay_alipay.notices import read_notice
from qfpay_alipay.provider import QFPayAlipay
from tests.hostile import test_contents, test_links, test_notifications, test_replies
from tests.hostile.canary import CANARIES, Witness
from tests.hostile.conftest import OpenShop
from tests.hostile.replies import BODIES, HTTP, fields, more
from tests.hostile.shops import Shop

Check = Callable[[OpenShop], object]
Plant = Callable[[], Any]


class AnyEncoding(transport._Reader):
    """A reader that accepts any encoding."""

    def __init__(self, reply: httpx2.Response) -> None:
        reply.headers.pop("content-encoding", None)
        super().__init__(reply)


def not_sent(problem: type[Exception]) -> Plant:
    """An exception that may come after the request counts as "not sent"."""
    table: Mapping[type[Exception], bool] = {**transport.CERTAINLY_NOT_SENT, problem: True}
    return lambda: mock.patch.object(transport, "CERTAINLY_NOT_SENT", table)


def any_status(self: api.Api, response: Any, shape: Any) -> Any:
    """A plugin that ignores the HTTP status."""
    return messages.read_message(response.body, shape), {}


def last_one_wins(body: bytes, shape: Any) -> Any:
    """A reader that accepts duplicate names and invalid UTF-8 in unknown fields."""
    return messages.decode(body, shape)


def believing(self: Any, notification: Any) -> Any:
    """A plugin that does not verify signatures."""
    if isinstance(self, ToyProvider):
        return [toy_observation(notification.body)]
    return read_notice(notification.body, mchid=None)


def toy_observation(body: bytes) -> Any:
    """The observation of a toy's record."""
    from paycore.testing import toy

    return toy.read_record(body)


MUTANTS: dict[str, tuple[Plant, Check]] = {
    "any encoding is taken": (
        lambda: mock.patch.object(transport, "_Reader", AnyEncoding),
        lambda shop: test_replies.go_through(shop("qfpay-alipay"), HTTP["an encoding of plain text"]),
    ),
    "a broken answer counts as not sent": (
        not_sent(httpx2.RemoteProtocolError),
        lambda shop: test_replies.go_through(shop("toy"), HTTP["SSH"]),
    ),
    "any status is an answer": (
        lambda: mock.patch.object(api.Api, "read", any_status),
        lambda shop: test_replies.go_through(shop("qfpay-alipay"), HTTP["302"]),
    ),
    "bad UTF-8 is read": (
        lambda: mock.patch.object(messages, "read_message", last_one_wins),
        lambda shop: test_replies.go_through(shop("qfpay-alipay"), BODIES["bad UTF-8"]),
    ),
    "the last of two names wins": (
        lambda: mock.patch.object(messages, "read_message", last_one_wins),
        lambda shop: test_contents.go_through(shop("qfpay-alipay"), more(b'"txamt":"8800"')),
    ),
    "other digits are an amount": (
        lambda: mock.patch.object(messages, "_DIGITS", mock.Mock()),
        lambda shop: test_contents.go_through(shop("qfpay-alipay"), fields(txamt="８８００")),
    ),
    "any link is a redirect": (
        lambda: mock.patch.object(answers, "url_problem", return_value=None),
        lambda shop: test_links.not_handed_out(shop("toy"), "javascript:alert(1)"),
    ),
    "a caller's URLs are passed on": (
        lambda: mock.patch.object(checks, "url_problem", return_value=None),
        lambda shop: unsafe_return_url(shop),  # noqa: PLW0108 - it is defined below
    ),
    "QFPay's signature is not asked for": (
        lambda: mock.patch.object(QFPayAlipay, "verify", believing),
        lambda shop: forged(test_notifications.trusting(shop, "qfpay-alipay"), "an empty one"),
    ),
    "the toy's signature is not asked for": (
        lambda: mock.patch.object(ToyProvider, "verify", believing),
        lambda shop: forged(test_notifications.trusting(shop, "toy"), "no signature"),
    ),
}


def forged(shop: Shop, name: str) -> None:
    """A notification with this signature."""
    test_notifications.not_taken(shop, shop.create(), name)


def unsafe_return_url(open_shop: OpenShop) -> None:
    """The toy, which has no rule of its own, with a script as URL."""
    with pytest.raises(InvalidField):
        open_shop("toy").create(return_url="javascript:alert(1)")


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_found(open_shop: OpenShop, name: str) -> None:
    """With the bug the check fails, without it the same check passes."""
    plant, check = MUTANTS[name]
    with plant(), pytest.raises((AssertionError, pytest.fail.Exception, NotSent)):
        check(open_shop)


def test_planted_secret_is_found() -> None:
    """Unmasked texts, and a secret with a readable repr, are both found by the witness."""
    key = Secret(CANARIES["key"])
    for leaking in (
        mock.patch.object(secrecy, "mask", lambda text, _: text),
        mock.patch.object(Secret, "__str__", Secret.reveal),
    ):
        witness = Witness()
        with leaking:
            witness.hear("words", secrecy.mask(f"signed with {key.reveal()}", [key]))
            witness.hear("secret", key)
        assert witness.leaks()
    witness = Witness()
    witness.hear("words", secrecy.mask(f"signed with {key.reveal()} and {key.reveal()[:20]}", [key]))
    witness.hear("secret", key)
    assert witness.leaks() == set()
