-- The change feed: each consumer's position, and the lease of the process that reads for it.
CREATE TABLE consumers (
    name     text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);
