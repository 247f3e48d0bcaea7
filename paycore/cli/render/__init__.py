"""Turns payments, events and differences into lines of text, tables and JSON. Nothing in here prints."""
