"""Mollie: a provider plugin for paycore."""
