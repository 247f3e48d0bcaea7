"""Captures take what was asked, once; what is voided is not captured."""
