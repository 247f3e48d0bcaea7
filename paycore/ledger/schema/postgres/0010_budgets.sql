-- What of its request budget each account has spent, and when it may send again.
CREATE TABLE budgets (
    account text COLLATE "C" PRIMARY KEY,
    body    text NOT NULL
);

-- When the provider was last asked about a payment; NULL: not yet.
ALTER TABLE payments ADD COLUMN asked_at bigint;

-- What is due of an account, with what decides who is asked about first.
DROP INDEX payments_due;
CREATE INDEX payments_due ON payments (account, due_at, created_at, asked_at) WHERE due_at IS NOT NULL;
