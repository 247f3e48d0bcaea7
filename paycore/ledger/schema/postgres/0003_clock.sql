-- How far the ledger's clock was ahead of the system's when that was last found to have stepped back; one row, or none.
CREATE TABLE clock (
    id        integer PRIMARY KEY CHECK (id = 1),
    system_at bigint NOT NULL,
    ahead_ms  bigint NOT NULL
);
