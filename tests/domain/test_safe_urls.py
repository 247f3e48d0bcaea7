"""Which URLs may be shown to a payer: both sides of every rule, each with its reason."""

import pytest

from paycore.domain.safe_text import URL_LENGTH_MAX, has_odd_characters, url_problem

ODD = "a quote, an angle bracket, a backslash, a space, a control character or one outside ASCII"
NO_NAME = "a host that is not a plain host name"
NOT_HTTPS = "a scheme other than https"


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example/a?b=c&d=%22%3c#e",
        "https://pay.example:8443/",
        "https://pay.example./",
        "https://PAY.Example/",
        "https://a_b.c-d.example",
        "https://_a.x--y.example",
        "https://0.a1",
        "https://x",
        "https://xn--a-b.xn--c-d",
        "https://pay.example/" + "a" * (URL_LENGTH_MAX - 20),
    ],
)
def test_url_of_a_plain_host_by_https_is_taken(url: str) -> None:
    """Names, ports, paths, queries and percent-encoding, for live accounts too."""
    assert url_problem(url) is None
    assert url_problem(url, takes_loopback=False) is None


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.1:8700", "[::1]", "[::1]:1", "localhost."]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_url_of_this_machine_is_taken_where_sandboxes_are_allowed(scheme: str, host: str) -> None:
    """By http and https, for sandbox accounts only."""
    url = f"{scheme}://{host}/pay"
    assert url_problem(url) is None
    assert url_problem(url, takes_loopback=False) == (NOT_HTTPS if scheme == "http" else NO_NAME)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://pay.example/", NOT_HTTPS),
        ("ftp://pay.example/", NOT_HTTPS),
        ("javascript:alert(1)", NOT_HTTPS),
        ("//pay.example/", NOT_HTTPS),
        ("", NOT_HTTPS),
        ("ftp://localhost/", "a scheme other than http and https"),
        ("//localhost/", "a scheme other than http and https"),
        ("https:///pay", NO_NAME),
        ("https://", NO_NAME),
        ("https://10.0.0.1/", NO_NAME),
        ("https://127.1/", NO_NAME),
        ("https://0x7f000001/", NO_NAME),
        ("https://2130706433/", NO_NAME),
        ("https://[::2]/", NO_NAME),
        ("https://pay..example/", NO_NAME),
        ("https://.example/", NO_NAME),
        ("https://-a.example/", NO_NAME),
        ("https://a-.example/", NO_NAME),
        ("https://a.example-/", NO_NAME),
        ("https://a.-example/", NO_NAME),
        ("https://a.exa_mple/", NO_NAME),
        ("https://pay.example../", NO_NAME),
        ("https://pay.example:port/", "no readable host and port"),
        ("https://pay.example:99999/", "no readable host and port"),
        ("https://[::1/", "no readable host and port"),
        ("https://user@pay.example/", "user info before the host"),
        ("https://@pay.example/", "user info before the host"),
        ("http://user:word@localhost/", "user info before the host"),
        ("https://pay.example/" + "a" * (URL_LENGTH_MAX - 19), f"more than {URL_LENGTH_MAX} characters"),
    ],
)
def test_url_that_could_lead_elsewhere_is_refused(url: str, problem: str) -> None:
    """Other schemes, disguised addresses, user info, unreadable or overlong URLs."""
    assert url_problem(url) == problem


@pytest.mark.parametrize(
    "odd", [*"\"'`<>\\ ", "\t", "\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "é", "\u200b", "。"]
)
def test_url_with_what_must_be_percent_encoded_is_refused(odd: str) -> None:
    """Unencoded characters could end the URL in a page, a header or a log."""
    url = f"https://pay.example/{odd}"
    assert has_odd_characters(url)
    assert url_problem(url) == ODD
    assert url_problem(f"https://{odd}pay.example/") == ODD


def test_url_of_a_link_with_a_signature_fits() -> None:
    """Real links have two thousand characters; the bound is four times that."""
    assert URL_LENGTH_MAX == 8192
    assert not has_odd_characters(
        "https://pay.example/" + "".join(map(chr, range(0x30, 0x3B))) + "~!$&()*+,;=|^{}"
    )
