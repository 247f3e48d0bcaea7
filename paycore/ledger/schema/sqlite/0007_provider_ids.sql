-- What the provider calls an order, a refund or a charge leads to its payments: a notification may name them by that.
CREATE TABLE provider_ids (
    account     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    payment_id  TEXT NOT NULL REFERENCES payments (id),
    PRIMARY KEY (provider_id, account, payment_id)
) STRICT, WITHOUT ROWID;

-- A body that can't be read is for `verify` to tell. Older ones have no further ids by name.
INSERT OR IGNORE INTO provider_ids (account, provider_id, payment_id)
SELECT p.account, json_extract(named.value, '$.provider_id'), p.id
FROM payments p, json_each(CASE WHEN json_valid(p.body) THEN p.body ELSE '{}' END) part, json_each(part.value) named
WHERE part.key IN ('operations', 'charges') AND length(json_extract(named.value, '$.provider_id')) BETWEEN 1 AND 256;

-- Whether it is due because somebody was told that it changed, and nobody has claimed it since: what else is recorded
-- meanwhile may be the answer to an older question.
ALTER TABLE payments ADD COLUMN hinted INTEGER NOT NULL DEFAULT 0;

-- Bodies have a field that is not kept any more: who opens the ledger writes them anew, as what `open` says is filled.
UPDATE payments SET open = NULL WHERE body LIKE '%"retryable":%';

-- A notification may be as long as 1 MiB: some tell of hundreds of orders. SQLite can't alter a check.
CREATE TABLE inbox_of_any_length (
    account     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    headers     TEXT NOT NULL,
    query       TEXT NOT NULL DEFAULT '',
    body        BLOB NOT NULL CHECK (length(body) <= 1048576),
    verdict     TEXT NOT NULL,
    payment_id  TEXT,
    PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;
INSERT INTO inbox_of_any_length (account, digest, received_at, headers, query, body, verdict, payment_id)
SELECT account, digest, received_at, headers, query, body, verdict, payment_id FROM inbox;
DROP TABLE inbox;
ALTER TABLE inbox_of_any_length RENAME TO inbox;
