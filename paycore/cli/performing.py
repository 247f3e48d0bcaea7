"""What the commands that change a payment have in common: an open client, the printed payment, the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from paycore.cli.endings import Exit, Unwritable, on_ctrl_c_name
from paycore.cli.lookup import open_client
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.output import Output
from paycore.errors import AccountRefused, NotSent, PaycoreError, PluginError, ProviderError

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client


def perform(
    options: GlobalOptions,
    work: Callable[[Client], Payment],
    code_of: Callable[[Payment], Exit],
    *,
    find_id: Callable[[], str],
    interrupted: Callable[[str], str],
    with_qr: bool = False,
    explain: Callable[[Payment, GlobalOptions], str] = lambda *_: "",
) -> int:
    """
    Do `work`, print the payment it returns and return the exit code that `code_of` gives for it.

    `explain` may return a line to print after the payment; `find_id` and `interrupted` are those of `on_ctrl_c_name`.
    """
    output = Output(options)
    with on_ctrl_c_name(find_id, interrupted), open_client(options, output) as pay:
        try:
            payment = work(pay)
        except (ProviderError, AccountRefused, PluginError) as error:
            recorded = _print_recorded(pay, error, output)
            if isinstance(error, NotSent) and recorded is not None and recorded.uncertain:
                # Nothing moved by this command, but money may have moved by an earlier one.
                error.money_moved = "maybe" if code_of(recorded) is Exit.UNKNOWN else "no"
            raise
        print_payment(payment, output, with_qr=with_qr)
        output.say(explain(payment, options))
        return code_of(payment)


def _print_recorded(pay: Client, error: PaycoreError, output: Output) -> Payment | None:
    """Print the payment of a failed command, as it is now recorded, and return it."""
    if error.payment_id is None:
        return None
    payment = pay.get(error.payment_id)
    try:
        print_payment(payment, output)
    except Unwritable as unwritable:
        output.warn(str(unwritable))
    return payment


def print_payment(payment: Payment, output: Output, *, with_qr: bool = False) -> None:
    """Print the payment; `Unwritable` names it where stdout can't be written."""
    try:
        output.payment(payment, with_qr=with_qr)
    except Unwritable as error:
        show = to_type(output.options, "show", payment.id)
        raise Unwritable(
            f"{error}; payment {payment.id} is recorded as {payment.status}: `{show}` prints it",
            payment_id=payment.id,
        ) from None
