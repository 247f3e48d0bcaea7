-- The processes that look after all that is due: each renews its row while it runs, and removes it at a clean end.
-- `accounts` are the names of those that it looks after, as a JSON list.
CREATE TABLE workers (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    accounts   TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
