"""What a payment is and which rules it follows: pure values, no I/O, no clock."""
