"""Secrets are nowhere but where they sign."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterator
from typing import Any

import msgspec

from paycore.domain.codec import encode
from paycore.domain.provider import Secret
from paycore.domain.wire import Request, Response
from paycore.engine.secrecy import Secrets, masked, secrets_among
from paycore.errors import InvalidField, NotificationError, PaycoreError
from paycore.testing.conformance.account_at_sandbox import ACCOUNT
from paycore.testing.conformance.arrivals import OTHERS_S, genuine, payable, verified
from paycore.testing.conformance.caller import bought
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.recorded_flow import RecordedFlow
from paycore.testing.conformance.replays import retold
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import lives
from paycore.testing.conformance.secret_settings import secret_names, with_rotated
from paycore.testing.conformance.spoken import hearing, logged, words_of
from paycore.testing.conformance.traces import WHOLE_MIN, Traces, auth_codes, traces_of

GUIDE = "settings-and-secrets"
ONLY_THERE = "call reveal() where the signature or the header is made, and nowhere else"


@check(read=GUIDE)
def secret_is_in_no_request_target(rig: Rig) -> None:
    """
    No path and no query string of a request has a secret in it: servers and proxies log them.

    In no form: in full or in part, encoded for a URL, in base64, in hexadecimal.
    """
    flows, traces = _lived(rig)
    for recorded in flows:
        for request in recorded.requests:
            found = traces.found(request.path)
            require(
                found is None,
                f"{recorded.title} sends {found} in the path or query string of a request",
                "send credentials in a header or in the body",
            )


@check(read=GUIDE)
def secret_is_in_no_repr(rig: Rig) -> None:
    """
    No repr and no text of the provider, its settings, its requests or its outcomes shows a secret.

    Reprs are in tracebacks, in error reports and in logs.
    """
    flows, traces = _lived(rig)
    shown: list[tuple[str, object]] = [("the provider", rig.provider), ("the settings", rig.read_settings())]
    shown += [("the provider's class", type(rig.provider)), ("its capabilities", rig.provider.capabilities)]
    for recorded in flows:
        shown += [(f"a request of {recorded.title}", request) for request in recorded.requests]
        shown.append((f"the outcome of {recorded.title}", recorded.outcome))
    for what, value in shown:
        found = next(filter(None, (traces.found(text) for text in (repr(value), str(value)))), None)
        require(found is None, f"the repr of {what} shows {found}", f"keep secrets as Secret; {ONLY_THERE}")


@check(read=GUIDE)
def secret_is_in_no_settings_error(rig: Rig) -> None:
    """
    Where a secret setting is refused, the error names the setting and does not show the value.

    Each secret is given empty, with a space, a line feed or a letter outside ASCII, too long, and of another form.
    """
    settings = rig.read_settings()
    values = msgspec.structs.asdict(settings)
    secrets = [name for name, value in values.items() if list(secrets_among([value]))]
    if not secrets:
        raise NotApplicable("no setting of the account is secret")
    for name in secrets:
        for secret in secrets_among([values[name]]):
            for wrong in _wrong_secrets(secret.reveal()):
                told = _refusal(rig, settings, name, wrong)
                found = Traces({name: secret.reveal(), "the wrong value": wrong}).found(told)
                require(
                    found is None,
                    f"the error for a wrong {name} shows {found}",
                    "name the setting and what is wrong with it: its length, or which characters it may have",
                )


@check(read=GUIDE)
def secret_is_in_no_refusal(rig: Rig) -> None:
    """
    What `verify` and `check` refuse is refused without showing a secret, or the signature that would hold.

    The error is shown to whoever sent the notification: with the right signature in it anybody could forge one.
    """
    found = genuine(rig)
    heads = found.heads(rig.provider)
    signature = {f"the signature in {name}": value for name, value in heads.items() if len(value) >= 16}
    traces = traces_of(rig, **signature)
    changed = found.received.body + b" "
    attempts: list[dict[str, Any]] = [
        {"body": changed, "headers": {}},
        {"body": changed[:-2]},
        {"headers": dict.fromkeys(heads, "0" * 64)},
        {"headers": {}},
    ]
    for other in attempts:
        refusal = verified(rig, found.received, "a notification that was changed", **other).refusal
        told = "" if refusal is None else words_of(refusal)
        seen = traces.found(told)
        require(
            seen is None,
            f"verify refuses a notification with an error that shows {seen}",
            "say that the signature does not hold, and nothing of the one that would",
        )


@check(read=GUIDE)
def auth_code_is_in_no_refusal(rig: Rig) -> None:
    """What `check` says of a scanned code that it refuses does not show the code: it pays until it has expired."""
    product = rig.product(lambda one: "auth_code" in one.required | one.optional, "takes an auth_code")
    if not hasattr(rig.provider, "check"):
        raise NotApplicable("the provider has no check")
    for code in _wrong_secrets("289876543210123456"):
        if not code:
            continue
        order = rig.create_order(product, auth_code=code)
        try:
            rig.provider.check(order)
        except InvalidField as error:
            seen = Traces({"the auth_code": code}).found(words_of(error))
            require(
                seen is None,
                f"check refuses a scanned code with an error that shows {seen}",
                "name the field, the size of the value and the bound",
            )


@check(read="what-an-outcome-says-about-the-money")
def secret_is_in_no_outcome(rig: Rig) -> None:
    """
    No outcome has a secret in it: not in its words, ids, links, failures or problems.

    Neither where all goes well, nor where a server between answers with a page that quotes the request: there the core
    masks a secret as it is, and can't find one that is encoded.
    """
    flows, traces = _lived(rig)
    for recorded in flows:
        found = traces.found(_written(recorded.outcome))
        require(found is None, f"the outcome of {recorded.title} has {found} in it", f"{ONLY_THERE}")
    secrets = Secrets.of([*rig.account.secrets, *secrets_among([rig.attempt().session])])
    for recorded in flows:
        for place, request in enumerate(recorded.requests):
            page = Response(status=502, headers={"content-type": "text/html"}, body=_quoting(request))
            responses = [*recorded.responses[:place], page]
            outcome = retold(recorded, rig.account_with({}).full, responses=responses).outcome
            found = traces.found(_written(masked(outcome, secrets)))
            require(
                found is None,
                f"{recorded.title} is answered with an error page that quotes the request, and its outcome has"
                f" {found} in it",
                "leave a body that is not the company's out of a problem: the HTTP status is enough",
            )


@check(read=GUIDE)
def secret_is_in_no_log(rig: Rig) -> None:
    """
    Nothing that is logged or printed shows a secret, by whatever logger, at whatever level.

    A payment is made, paid, notified, refunded and closed by a real client, and meets a broken server.
    """
    traces = traces_of(rig)
    with hearing() as heard:
        _lived_by_a_client(rig, "async")
    for words in (*heard(), *map(logged, rig.logged)):
        found = traces.found(words)
        require(
            found is None,
            f"what is logged or printed shows {found}",
            "log nothing: outcomes and words are what a provider tells",
        )


@check(read=GUIDE)
def secret_is_in_no_ledger(rig: Rig) -> None:
    """The ledger's file has no secret in it, in no form: it is copied, backed up and read by others."""
    traces = traces_of(rig)
    _lived_by_a_client(rig, "sync")
    files = sorted(rig.folder.glob("*.db*"))
    if not files:
        raise NotApplicable("there is no file of a ledger")
    for file in files:
        found = traces.found(file.read_bytes())
        require(
            found is None,
            f"the ledger's file has {found} in it",
            "leave secrets out of ids, links, words and problems: they are all kept",
        )


@check(read=GUIDE)
def first_of_several_keys_signs(rig: Rig) -> None:
    """
    Where a setting holds several secrets, the first signs requests: the others are there for what still arrives.

    The account's own secret is made the first of two, and the gateway has to take the order.
    """
    names = secret_names(rig, several=True)
    if not names:
        raise NotApplicable("no setting holds several secrets")
    own, name = rig.account, names[0]
    try:
        for name in names:
            rig.account = rig.account_with(with_rotated(rig, name, is_new_first=False))
            rig.renew_session()
            rig.place(payable(rig))
    except Failed as failed:
        raise Failed(
            f"with its own secret as the first of two in {name}: {failed.problem}",
            "sign requests with the first secret of the setting, and verify with all of them",
        ) from None
    finally:
        rig.account = own


@check(read="actions")
def secret_is_not_shown_to_the_payer(rig: Rig) -> None:
    """What the payer's browser or app is given has no secret of the account in it, in no form."""
    traces = traces_of(rig)
    for product in rig.products:
        placed = rig.place(product)
        if placed.action is None:
            continue
        found = traces.found(encode(placed.action))
        require(
            found is None,
            f"{product.method}/{product.channel}: what the payer is given has {found} in it",
            "give the browser the publishable key, or what the company made for this order",
        )


@check(read="sessions-tokens-and-certificates")
def session_is_kept_secret(rig: Rig) -> None:
    """What is secret in a session is in `Secret`s: a token that is sent as a credential is one."""
    if not hasattr(rig.provider, "open_session"):
        raise NotApplicable("the provider opens no session")
    session = rig.attempt().session
    plain = {text for text in _plain_texts(session) if len(text) >= WHOLE_MIN}
    rig.proxy.clear()
    rig.look(rig.place(rig.products[0]))
    for exchange in rig.proxy.exchanges:
        bare = [name for name, value in exchange.headers.items() if any(text in value for text in plain)]
        require(
            not bare,
            f"the header {', '.join(bare)} has a value of the session in it, which is plain text there",
            "return Done(Session(value=Secret(token), ...)), and call reveal() where the header is made",
        )


# --- inside ------------------------------------------------------------------------------------------------


def _lived(rig: Rig) -> tuple[list[RecordedFlow], Traces]:
    """Every flow at the gateway, and the secrets it had."""
    flows = lives(rig)
    codes = auth_codes([getattr(one, "auth_code", None) for recorded in flows for one in recorded.given])
    return flows, traces_of(rig, **codes)


def _lived_by_a_client(rig: Rig, kind: str) -> None:
    """Payments that are paid, notified of and refunded, that are closed, and that meet a broken server."""
    client, product = rig.client(kind), payable(rig)
    with contextlib.suppress(PaycoreError, Failed):
        payment = bought(rig, client, product)
        if product.refund != "none":
            client.refund(payment.id, reference=f"{payment.reference}-r")
    with contextlib.suppress(PaycoreError):
        client.close(client.create(**rig.arguments(product)).id)
    for fault in ("http_500", "http_502", "truncated_json"):
        with contextlib.suppress(PaycoreError), rig.proxy.breaking(fault):
            client.create(**rig.arguments(product))
    if hasattr(rig.provider, "verify"):
        _received(rig, client)


def _received(rig: Rig, client: Any) -> None:
    """What has arrived so far is received, as it is and changed."""
    for one in rig.receiver.first(1, OTHERS_S):
        for body in (one.body, one.body + b" "):
            with contextlib.suppress(NotificationError):
                client.receive(ACCOUNT, body=body, headers=one.headers, query=one.query)


def _written(outcome: object) -> str:
    """Everything that is in an outcome."""
    with contextlib.suppress(TypeError):
        return encode(outcome).decode()
    return repr(outcome)  # the value of a session is a `Secret`, which can't be written


def _quoting(request: Request) -> bytes:
    """An error page that shows the request which it is about, as servers in their debugging mode do."""
    lines = [
        f"{request.method} {request.path}",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    quoted = html.escape("\n".join(lines), quote=False)
    return f"<html><body><h1>502</h1><pre>{quoted}\n\n".encode() + request.body + b"</pre></body></html>"


def _wrong_secrets(secret: str) -> Iterator[str]:
    yield ""
    yield f"{secret} x"
    yield f"{secret}\n"
    yield f"{secret}\N{LATIN SMALL LETTER E WITH ACUTE}"
    yield secret * 40
    yield f"x-{secret[::-1]}"


def _refusal(rig: Rig, settings: msgspec.Struct, name: str, wrong: str) -> str:
    """What the settings' own checks, the provider's constructor and the core say of a wrong secret; may be nothing."""
    fields = msgspec.structs.asdict(settings)
    value: Any = Secret(wrong) if isinstance(fields[name], Secret) else (Secret(wrong),)
    words: list[str] = []
    try:
        rig.subject.provider(type(settings)(**{**fields, name: value}))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's settings raise
        words.append(words_of(error))
    try:
        rig.account_with({name: wrong})
    except PaycoreError as error:
        words.append(words_of(error))
    return "\n".join(words)


def _plain_texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _plain_texts(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _plain_texts(getattr(value, name))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _plain_texts(item)
