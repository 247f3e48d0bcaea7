-- The change feed: how far each consumer has acknowledged, and the lease of the reader that may acknowledge.
-- All events up to `position` are acknowledged, and the first `taken` changes of the event after it.
CREATE TABLE consumers (
    name            TEXT PRIMARY KEY,
    position        INTEGER NOT NULL,
    taken           INTEGER NOT NULL DEFAULT 0,
    holder          TEXT,
    leased_until    INTEGER,
    created_at      INTEGER NOT NULL,
    acknowledged_at INTEGER
) STRICT, WITHOUT ROWID;
