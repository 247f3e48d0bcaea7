"""Miniature providers: each real API cut down to what it asks of the contract, as small as it can be said."""
