"""paycore's tests: a package, so that `python -m tests.proof` and `tests.support` can be imported from the root."""
