"""Each answer has the outcome that says the truth about the money."""
