"""What every test run has, the core's and the plugins' alike. The modules below say what that is."""

pytest_plugins = ["tests.support.hygiene", "tests.support.browser", "tests.support.databases"]
