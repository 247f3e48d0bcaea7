"""The durable record: what was intended, sent and observed. The only SQL in paycore."""
