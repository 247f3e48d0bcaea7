"""The changes of the shop's own tables."""
