"""An offline gateway for PayPal Orders."""
