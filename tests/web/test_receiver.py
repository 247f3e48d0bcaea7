"""What the receiver answers, and what is recorded by then."""

from paycore import Status
from tests.web.conftest import Shop


def test_notification_is_recorded_before_it_is_answered(shop: Shop) -> None:
    """The provider's own answer comes once the payment is paid in the ledger."""
    shop.serve()
    payment, body, headers = shop.paid()
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"ok", "text/plain")
    assert shop.pay.get(payment.id).status is Status.PAID


def test_repeats_are_acknowledged_and_change_nothing(shop: Shop) -> None:
    """Providers send again what they have no answer to: each time the same answer, and one event."""
    shop.serve()
    payment, body, headers = shop.paid()
    answers = {
        (answer.status_code, answer.content) for answer in (shop.post(body, headers) for _ in range(5))
    }
    assert answers == {(200, b"ok")}
    assert len(shop.pay.events(payment.id)) == shop.pay.get(payment.id).version


def test_forged_is_refused_without_saying_why(shop: Shop) -> None:
    """400 for any wrong signature; the answer helps nobody to guess, and nothing changed."""
    shop.serve()
    payment, body, headers = shop.paid()
    forged = {name: value[:-1] for name, value in headers.items()}
    for given in ({}, forged):
        answer = shop.post(body, given)
        assert (answer.status_code, answer.content) == (400, b"refused")
    assert shop.pay.get(payment.id) == payment


def test_unknown_account_404(shop: Shop) -> None:
    """A name the configuration does not have, also where the body is genuine."""
    shop.serve()
    _, body, headers = shop.paid()
    for path in ("/nobody", "/toy/", "/toy/more", "/", "/to%79%00"):
        assert shop.post(body, headers, path).status_code == 404, path


def test_account_left_out_404(shop: Shop) -> None:
    """Accounts that this receiver is not for are as unknown as those that do not exist."""
    shop.serve(accounts=["other"])
    _, body, headers = shop.paid()
    assert shop.post(body, headers).status_code == 404


def test_other_methods_405(shop: Shop) -> None:
    """Only POST delivers."""
    shop.serve()
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert shop.http.request(method, f"{shop.url}/toy").status_code == 405, method
