-- How far the ledger's clock was ahead of the system's when that was last found to have stepped back; one row, or none.
CREATE TABLE clock (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    system_at INTEGER NOT NULL,
    ahead_ms  INTEGER NOT NULL
) STRICT;
