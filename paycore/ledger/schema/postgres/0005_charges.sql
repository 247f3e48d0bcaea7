-- The provider's id of money that was taken belongs to one payment: told of another one, it pays nothing.
CREATE TABLE charges (
    account     text COLLATE "C" NOT NULL,
    provider_id text COLLATE "C" NOT NULL,
    payment_id  text COLLATE "C" NOT NULL REFERENCES payments (id),
    PRIMARY KEY (provider_id, account)
);

-- A body that can't be read is for `verify` to tell.
CREATE FUNCTION charges_in(body text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(body::jsonb -> 'charges', '[]');
EXCEPTION WHEN others THEN
    RETURN '[]';
END $$;

-- Where an id was counted for several payments, the first keeps it.
INSERT INTO charges (account, provider_id, payment_id)
SELECT p.account, charge ->> 'provider_id', p.id
FROM payments p, jsonb_array_elements(charges_in(p.body)) charge
WHERE p.paid_minor > 0 AND charge ->> 'provider_id' IS NOT NULL
ORDER BY p.created_at, p.id
ON CONFLICT DO NOTHING;

DROP FUNCTION charges_in;
