"""Completion in a shell: the scripts that a shell loads, and what they ask paycore for."""
