"""The conformance kit: it passes what is good, and each of its checks finds the bug that was planted for it."""
