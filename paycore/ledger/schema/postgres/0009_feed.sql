-- The change feed: how far each consumer has acknowledged, and the lease of the reader that may acknowledge.
-- All events up to `position` are acknowledged, and the first `taken` changes of the event after it.
CREATE TABLE consumers (
    name            text COLLATE "C" PRIMARY KEY,
    position        bigint NOT NULL,
    taken           smallint NOT NULL DEFAULT 0,
    holder          text COLLATE "C",
    leased_until    bigint,
    created_at      bigint NOT NULL,
    acknowledged_at bigint
) WITH (fillfactor = 50);
