"""The conformance kit, as any plugin's suite runs it: one test per check, against the sandbox."""

from paycore.testing import conformance_of

test_conformance = conformance_of("stripe-checkout")
