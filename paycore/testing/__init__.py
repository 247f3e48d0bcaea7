"""What plugin authors and applications test with: doubles, conformance checks, pytest fixtures."""
