-- The tables of the SQLite schema of the same number, and `writers`. Keep both in step: the SQL over them is shared.
-- Times are UTC milliseconds, amounts integers in minor units beside currency and exponent.

-- `body` is the payment as a whole, `head` the hash of its last event; columns repeat what is looked for.
CREATE TABLE payments (
    id             text COLLATE "C" PRIMARY KEY,
    account        text COLLATE "C" NOT NULL,
    provider       text NOT NULL,
    reference      text COLLATE "C" NOT NULL,
    status         text NOT NULL,
    version        integer NOT NULL,
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    currency       text NOT NULL,
    exponent       smallint NOT NULL,
    paid_minor     bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    uncertain      smallint NOT NULL,
    review         smallint NOT NULL DEFAULT 0,
    due_at         bigint,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL,
    head           bytea NOT NULL,
    body           text NOT NULL,
    UNIQUE (reference, account)
);

CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_created ON payments (created_at);

-- Every number the provider knows us by leads back to its payment, which says how far the operation got.
CREATE TABLE operations (
    id         text COLLATE "C" PRIMARY KEY,
    payment_id text COLLATE "C" NOT NULL REFERENCES payments (id),
    account    text COLLATE "C" NOT NULL,
    kind       text NOT NULL,
    number     text COLLATE "C" NOT NULL,
    begun_at   bigint NOT NULL
);

CREATE UNIQUE INDEX operations_number ON operations (number, account) WHERE kind <> 'close';

-- A refund's reference is unique in its account; its amount and how far it got stand in its payment.
CREATE TABLE refunds (
    account    text COLLATE "C" NOT NULL,
    reference  text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL REFERENCES payments (id),
    PRIMARY KEY (account, reference)
);

CREATE TABLE events (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id  text COLLATE "C" NOT NULL REFERENCES payments (id),
    seq         integer NOT NULL,
    at          bigint NOT NULL,
    source      text NOT NULL,
    kind        text NOT NULL,
    status_from text,
    status_to   text NOT NULL,
    change      text NOT NULL,
    prev_hash   bytea NOT NULL,
    hash        bytea NOT NULL,
    UNIQUE (payment_id, seq)
);

-- Events are added in the order of their times, nearly: a listener that was away asks what happened meanwhile.
CREATE INDEX events_at ON events USING brin (at) WITH (pages_per_range = 16);

CREATE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END $$;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_events();

CREATE TRIGGER events_are_never_emptied BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();

CREATE TABLE inbox (
    account     text COLLATE "C" NOT NULL,
    digest      text COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    headers     text NOT NULL,
    body        bytea NOT NULL CHECK (length(body) <= 65536),
    verdict     text NOT NULL,
    payment_id  text COLLATE "C",
    PRIMARY KEY (account, digest)
);

-- The number of each open ledger's last commit: what a ledger asks when it lost its connection while committing.
CREATE TABLE writers (
    id      text COLLATE "C" PRIMARY KEY,
    commits bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
