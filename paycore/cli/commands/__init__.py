"""The commands: their options, help and what they do. Each module is imported when one of its commands is run."""
