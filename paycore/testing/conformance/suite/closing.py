"""A closed order can't be paid, and a paid one is not closed."""
