"""Only authentic notifications are believed."""
