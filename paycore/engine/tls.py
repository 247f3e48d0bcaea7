"""Whom to trust over TLS, and what to show to who asks for a client certificate. Nothing turns verification off."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi


def trusting() -> ssl.SSLContext:
    """
    Certificates and host names are checked, against the authorities that certifi has.

    Not `ssl.create_default_context`: that writes the keys of every connection to the file that SSLKEYLOGFILE names.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def showing(certificate: Path) -> ssl.SSLContext:
    """
    The same, with a client certificate: a PEM file of it, its chain and its private key.

    `ValueError` says in words what is wrong with the file.
    """
    context, asked = trusting(), list[bool]()

    def password() -> str:
        asked.append(True)  # without this OpenSSL would ask at the terminal
        return ""

    try:
        context.load_cert_chain(certificate, password=password)
    except ssl.SSLError as error:
        problem = _problem(error, has_password=bool(asked))
    except (OSError, ValueError):
        problem = "can't be read"
    else:
        return context
    raise ValueError(problem)


def _problem(error: ssl.SSLError, *, has_password: bool) -> str:
    if has_password:
        return "its private key has a password; write the key without one into a file that only you can read"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "its private key is not that of its certificate"
    return "must be a PEM file with a certificate and its private key"
