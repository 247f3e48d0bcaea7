"""Which URLs may be shown to a payer or handed to QFPay: paycore's rule. None is ever fetched."""

from __future__ import annotations

from paycore.plugin import url_problem

__all__ = ["is_loopback", "url_problem"]


def is_loopback(url: str) -> bool:
    """Whether a URL without `url_problem` names this machine."""
    return url_problem(url, takes_loopback=False) is not None
