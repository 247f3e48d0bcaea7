"""The conformance kit, as any plugin runs it."""

from paycore.testing import conformance_of

test_conformance = conformance_of("paypal-orders")
