"""Looks for secrets in what others may see: in full and in part, as they are and as they are encoded."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, quote_plus

import msgspec

from paycore.domain.codec import encode
from paycore.engine.secrecy import secrets_among
from paycore.testing.conformance.check import NotApplicable
from paycore.testing.conformance.rig import Rig

WHOLE_MIN = 6
"""A shorter secret can't be told from an ordinary word."""

PART_LENGTH = 16
"""So many characters of a secret are as good as it: of a longer one each such part is looked for."""

LETTERS_MIN = 6
"""A part of fewer different characters can't be told from padding."""


class Traces:
    """The secrets of one account by name, and where they show."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms: dict[str, str] = {}
        for name, secret in secrets.items():
            for piece, text in _pieces(secret):
                for how, form in _forms(text):
                    self._forms.setdefault(form, f"{piece} of {name}{how}")

    def found(self, text: str | bytes) -> str | None:
        """What of which secret is in the text, None where nothing is."""
        written = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return next((what for form, what in self._forms.items() if form in written), None)


def traces_of(rig: Rig, **further: str) -> Traces:
    """
    Those of the account's settings and of its session, and `further` ones by name.

    `NotApplicable` where there are none.
    """
    settings = msgspec.structs.asdict(rig.read_settings())
    named = {
        f"{name}[{place}]" if place else name: found
        for name, value in settings.items()
        for place, found in enumerate(_revealed([value]))
    }
    session = _revealed([rig.attempt().session])
    named |= {
        f"the session[{place}]" if place else "the session": found for place, found in enumerate(session)
    }
    if not named and not further:
        raise NotApplicable("the account has no secrets")
    return Traces({**named, **further})


def auth_codes(arguments: Sequence[object]) -> dict[str, str]:
    """The scanned codes among what flows were given, by a name for each."""
    codes = [secret.reveal() for secret in secrets_among(arguments)]
    return {f"auth_code {place}": code for place, code in enumerate(codes)}


def _revealed(values: Sequence[object]) -> list[str]:
    return [secret.reveal() for secret in secrets_among(values)]


def _pieces(secret: str) -> Iterator[tuple[str, str]]:
    if len(secret) >= WHOLE_MIN:
        yield "the whole", secret
    for at in range(max(0, len(secret) - PART_LENGTH + 1)):
        part = secret[at : at + PART_LENGTH]
        if len(secret) > PART_LENGTH and len(set(part)) >= LETTERS_MIN:
            yield "a part", part


def _forms(text: str) -> Iterator[tuple[str, str]]:
    raw = text.encode()
    yield "", text
    yield ", encoded for a URL", quote(text, safe="")
    yield ", encoded for a form", quote_plus(text)
    yield ", as JSON", encode(text)[1:-1].decode()
    yield ", in hexadecimal", raw.hex()
    yield ", in hexadecimal", raw.hex().upper()
    for before in range(3):  # wherever in what was encoded it began
        written = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield ", in base64", written[first:last]
        yield ", in base64", written[first:last].translate(str.maketrans("+/", "-_"))
