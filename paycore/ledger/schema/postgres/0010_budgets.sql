-- What of its request budget each account has spent, and when it may send again.
CREATE TABLE budgets (
    account text COLLATE "C" PRIMARY KEY,
    body    text NOT NULL
);

-- When the provider was last asked about a payment; NULL: not yet.
ALTER TABLE payments ADD COLUMN asked_at bigint;

-- Whether what the provider's list says of a payment is all there is to ask. Who opens the ledger fills
-- it for older payments, as what `open` says is filled.
ALTER TABLE payments ADD COLUMN listed smallint NOT NULL DEFAULT 0;
UPDATE payments SET open = NULL WHERE status = 'pending';

-- What is due of an account, the most overdue first.
DROP INDEX payments_due;
CREATE INDEX payments_due ON payments (account, due_at) WHERE due_at IS NOT NULL;
