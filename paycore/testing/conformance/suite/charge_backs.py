"""What is taken back after it was paid is told."""
