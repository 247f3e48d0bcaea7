"""
A gateway on this machine that imitates Mollie: `paycore sandbox serve mollie`.

Written from the company's documentation. It shares no code with the client, so that each checks the other.
"""

from __future__ import annotations

from paycore.sandbox.scripted import ScriptedSandbox
from paycore_mollie.sandbox.gateway import MollieGateway

SANDBOX = ScriptedSandbox(MollieGateway)
