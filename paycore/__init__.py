"""paycore: payments through any provider, with nothing lost and nothing doubled."""
