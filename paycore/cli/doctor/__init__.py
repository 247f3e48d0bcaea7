"""The checks of `paycore doctor`: each says what it found and what to do, and none stops another."""
