"""Test doubles for plugin authors and applications."""
