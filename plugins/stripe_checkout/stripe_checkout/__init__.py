"""Stripe Checkout Sessions, a provider plugin for paycore."""
