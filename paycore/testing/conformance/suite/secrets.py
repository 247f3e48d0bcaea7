"""Secrets are nowhere but where they sign."""
