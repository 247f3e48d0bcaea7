-- Times are UTC milliseconds, amounts integers in minor units beside currency and exponent.

-- `body` is the payment as a whole, `head` the hash of its last event; columns repeat what is looked for.
CREATE TABLE payments (
    id             TEXT PRIMARY KEY,
    account        TEXT NOT NULL,
    provider       TEXT NOT NULL,
    reference      TEXT NOT NULL,
    status         TEXT NOT NULL,
    version        INTEGER NOT NULL,
    amount_minor   INTEGER NOT NULL CHECK (amount_minor > 0),
    currency       TEXT NOT NULL,
    exponent       INTEGER NOT NULL,
    paid_minor     INTEGER NOT NULL DEFAULT 0,
    refunded_minor INTEGER NOT NULL DEFAULT 0,
    uncertain      INTEGER NOT NULL,
    review         INTEGER NOT NULL DEFAULT 0,
    due_at         INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    head           BLOB NOT NULL,
    body           TEXT NOT NULL,
    UNIQUE (reference, account)
) STRICT;

CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_created ON payments (created_at);

-- Every number the provider knows us by leads back to its payment, which says how far the operation got.
CREATE TABLE operations (
    id         TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    account    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    number     TEXT NOT NULL,
    begun_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX operations_number ON operations (number, account) WHERE kind <> 'close';

-- A refund's reference is unique in its account; its amount and how far it got stand in its payment.
CREATE TABLE refunds (
    account    TEXT NOT NULL,
    reference  TEXT NOT NULL,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    PRIMARY KEY (account, reference)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    payment_id  TEXT NOT NULL REFERENCES payments (id),
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    source      TEXT NOT NULL,
    kind        TEXT NOT NULL,
    status_from TEXT,
    status_to   TEXT NOT NULL,
    change      TEXT NOT NULL,
    prev_hash   BLOB NOT NULL,
    hash        BLOB NOT NULL,
    UNIQUE (payment_id, seq)
) STRICT;

CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE inbox (
    account     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL CHECK (length(body) <= 65536),
    verdict     TEXT NOT NULL,
    payment_id  TEXT,
    PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;
