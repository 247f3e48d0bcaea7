"""What tests, proofs and benchmarks share: hygiene, a browser, an embedded PostgreSQL."""
