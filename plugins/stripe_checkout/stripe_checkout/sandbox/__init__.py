"""An offline gateway for Stripe Checkout."""
