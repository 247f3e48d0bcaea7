"""Effects: runs providers' flows against the ledger and the wire."""
