"""Loads the fixtures and checks that every test run has, for the core and the plugins; see the modules listed below."""

pytest_plugins = ["tests.support.hygiene", "tests.support.browser", "tests.support.databases"]
