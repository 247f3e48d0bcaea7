-- The provider's id of money that was taken belongs to one payment: told of another one, it pays nothing.
CREATE TABLE charges (
    account     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    payment_id  TEXT NOT NULL REFERENCES payments (id),
    PRIMARY KEY (provider_id, account)
) STRICT, WITHOUT ROWID;

-- Where an id was counted for several payments, the first keeps it. A body that can't be read is for `verify` to tell.
INSERT OR IGNORE INTO charges (account, provider_id, payment_id)
SELECT p.account, json_extract(charge.value, '$.provider_id'), p.id
FROM payments p, json_each(CASE WHEN json_valid(p.body) THEN p.body ELSE '{}' END, '$.charges') charge
WHERE json_extract(charge.value, '$.provider_id') IS NOT NULL
ORDER BY p.created_at, p.id;
