"""What a provider declares is true of its gateway."""
