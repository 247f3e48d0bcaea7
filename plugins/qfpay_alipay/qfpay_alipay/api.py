"""QFPay's HTTP API: builds signed requests, verifies and decodes replies."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from paycore.plugin import Request, Response
from qfpay_alipay import messages
from qfpay_alipay.respcodes import OUR_SIGNATURE_WRONG
from qfpay_alipay.settings import QFPaySettings
from qfpay_alipay.signing import SignType, is_signed, sign_request

AnswerT = TypeVar("AnswerT", bound=messages.Answer)

QUERY = "query"
"""The endpoint of queries."""

SIGNED_WRONG = "the reply's signature is wrong"
"""The problem of such a reply, which proves nothing."""


class Api:
    """The API as one account uses it. Has no state but the settings."""

    def __init__(self, settings: QFPaySettings) -> None:
        self._settings = settings

    def request(
        self, endpoint: str, message: msgspec.Struct, *, method: Literal["GET", "POST"] = "POST"
    ) -> Request:
        """
        `message` to `/trade/v1/{endpoint}`, with `mchid` exactly when the account has one, and signed.

        Only a query can't move money: an order can be closed by a GET.
        A GET has the same fields in its query string (assumed: no page says how).
        Source: sdk.qfapi.com "Request Format"; SOURCES.md §1, §5.2.
        """
        settings = self._settings
        fields = messages.fields_of(msgspec.structs.replace(message, mchid=settings.mchid))
        form = messages.render_form(fields)
        signature = sign_request(fields, key=settings.client_key[0], sign_type=settings.sign_type)
        headers = {"X-QF-APPCODE": settings.app_code.reveal(), "X-QF-SIGN": signature}
        if settings.sign_type != "MD5":
            headers["X-QF-SIGNTYPE"] = settings.sign_type
        path, is_safe = f"/trade/v1/{endpoint}", endpoint == QUERY
        if method == "GET":
            return Request(method="GET", path=f"{path}?{form}", headers=headers, safe=is_safe)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Request(method="POST", path=path, headers=headers, body=form.encode(), safe=is_safe)

    def read(self, response: Response, shape: type[AnswerT]) -> tuple[AnswerT, bool]:
        """
        The reply as `shape`, and whether its signature is wrong.

        A reply that is signed wrong proves nothing, except that QFPay refused our own signature (1108): if our key is
        wrong, every reply's signature looks wrong too.

        Raises `messages.TooManyRequests` for HTTP status 429, the only one QFPay documents. Raises `messages.Malformed`
        for any other status but 200, for a body that is not such a reply, and for a missing signature where the account
        requires one: money may have moved in each of these cases.
        """
        if response.status == 429:
            raise messages.TooManyRequests
        if response.status != 200:
            raise messages.Malformed(f"HTTP status {response.status}")
        signature = response.headers.get("x-qf-sign")
        if self._settings.require_signed_replies and signature is None:
            raise messages.Malformed("the reply is not signed, as this account requires")
        answer = messages.read_message(response.body, shape)
        # Body and key, MD5 unless the reply names SHA256. Source: SOURCES.md §2.2, vectors V3, V11.
        is_sha256 = response.headers.get("x-qf-signtype", "").upper() == "SHA256"
        sign_type: SignType = "SHA256" if is_sha256 else "MD5"
        keys = self._settings.client_key
        if signature is None or is_signed(response.body, signature, keys=keys, sign_type=sign_type):
            return answer, False
        return answer, answer.code != OUR_SIGNATURE_WRONG
