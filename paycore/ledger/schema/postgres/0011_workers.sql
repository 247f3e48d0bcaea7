-- The processes that look after all that is due: each renews its row while it runs, and removes it at a clean end.
-- `accounts` are the names of those that it looks after, as a JSON list.
CREATE TABLE workers (
    id         text COLLATE "C" PRIMARY KEY,
    host       text COLLATE "C" NOT NULL,
    pid        bigint NOT NULL,
    accounts   text NOT NULL,
    started_at bigint NOT NULL,
    seen_at    bigint NOT NULL
) WITH (fillfactor = 50);
