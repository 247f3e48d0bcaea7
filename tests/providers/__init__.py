"""Real payment APIs, each by the smallest provider that says what it needs, against a scripted gateway."""
