"""Refunds return what was asked, once."""
