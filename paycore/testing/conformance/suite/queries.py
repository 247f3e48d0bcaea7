"""Orders are found again, each under its own number; the provider's list is complete."""
