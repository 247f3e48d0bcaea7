"""A package, so that `python -m tests.simulation` and `tests.support` can be imported from the root."""
