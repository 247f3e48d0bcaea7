"""Which URLs may be shown or sent."""

from __future__ import annotations

import pytest

from paycore.plugin import url_problem

SAFE = [
    "https://shop.example/ok",
    "https://shop.example:8443/ok?order=3&lang=zh-HK#top",
    "https://qr.alipay.com/bax03431ljhokirwl38f00a7",
    "https://globalmapi.alipay.com/gateway.do?body=%E6%B8%AC&total_fee=3.0",
    "https://shop.example/ok?name=%22a%22&next=%3Cb%3E%27%60",
    "https://shop.example/ok?id={ORDER}&a[]=1|2^3",
    "https://a_b.shop-1.example./x@y",
    "http://localhost/ok",
    "https://localhost:8443/ok",
    "http://127.0.0.1:8700/wallet/1",
    "http://[::1]:8700/wallet/1",
]
UNSAFE = [
    ("", "scheme"),
    ("shop.example/ok", "scheme"),
    ("//shop.example/ok", "scheme"),
    ("http://shop.example/ok", "scheme"),
    ("javascript:alert(1)", "scheme"),
    ("alipays://platformapi/startapp", "scheme"),
    ("ftp://localhost/x", "scheme"),
    ("https:///ok", "host"),
    ("https://user@shop.example/", "user info"),
    ("https://user:pw@127.0.0.1/", "user info"),
    ("https://good.example\\@evil.example/", "backslash"),
    ("https://shop.example/a b", "space"),
    ("https://shop.example/\n", "control"),
    ('https://shop.example/"onmouseover="x', "quote"),
    ("https://shop.example/'-alert(1)-'", "quote"),
    ("https://shop.example/`x`", "quote"),
    ("https://shop.example/<script>", "angle bracket"),
    ("https://shop.example/?a=>b", "angle bracket"),
    ('https://shop.example/#"', "quote"),
    ("https://shop.example/\x00", "control"),
    ("https://商店.example/", "outside ASCII"),
    ("https://shop.example:x/", "port"),
    ("https://shop.example:99999/", "port"),
    ("https://[::1/", "host"),
    ("https://[2001:db8::1]/", "host"),
    ("https://10.0.0.1/", "host"),
    ("https://2130706433/", "host"),
    ("https://127.1/", "host"),
    ("https://0x7f000001/", "host"),
    ("https://[::ffff:127.0.0.1]/", "host"),
    ("https://-shop.example/", "host"),
    ("https://shop..example/", "host"),
    ("https://shop%2eexample/", "host"),
]


@pytest.mark.parametrize("url", SAFE)
def test_url_problem_safe_url_has_none(url: str) -> None:
    """https to a host name; http to this machine."""
    assert url_problem(url) is None


@pytest.mark.parametrize(("url", "problem"), UNSAFE)
def test_url_problem_unsafe_url_is_named(url: str, problem: str) -> None:
    """Other schemes, user info, disguised addresses and control characters; the error does not repeat the URL."""
    found = url_problem(url)
    assert found is not None
    assert problem in found
    assert not url or url not in found
