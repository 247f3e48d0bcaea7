-- What the provider calls an order, a refund or a charge leads to its payments: a notification may name them by that.
CREATE TABLE provider_ids (
    account     text COLLATE "C" NOT NULL,
    provider_id text COLLATE "C" NOT NULL,
    payment_id  text COLLATE "C" NOT NULL REFERENCES payments (id),
    PRIMARY KEY (provider_id, account, payment_id)
);

-- A body that can't be read is for `verify` to tell.
CREATE FUNCTION named_in(body text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(body::jsonb -> 'operations', '[]') || coalesce(body::jsonb -> 'charges', '[]');
EXCEPTION WHEN others THEN
    RETURN '[]';
END $$;

-- Older bodies have no further ids by name.
INSERT INTO provider_ids (account, provider_id, payment_id)
SELECT p.account, named ->> 'provider_id', p.id
FROM payments p, jsonb_array_elements(named_in(p.body)) named
WHERE length(named ->> 'provider_id') BETWEEN 1 AND 256
ON CONFLICT DO NOTHING;

DROP FUNCTION named_in;

-- Whether it is due because somebody was told that it changed, and nobody has claimed it since: what else is recorded
-- meanwhile may be the answer to an older question.
ALTER TABLE payments ADD COLUMN hinted smallint NOT NULL DEFAULT 0;

-- Bodies have a field that is not kept any more: who opens the ledger writes them anew, as what `open` says is filled.
UPDATE payments SET open = NULL WHERE body LIKE '%"retryable":%';

-- A notification may be as long as 1 MiB: some tell of hundreds of orders.
ALTER TABLE inbox DROP CONSTRAINT inbox_body_check;
ALTER TABLE inbox ADD CHECK (length(body) <= 1048576);
