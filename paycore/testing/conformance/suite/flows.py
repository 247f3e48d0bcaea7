"""Flows are pure: they do no I/O, are deterministic, and end."""
