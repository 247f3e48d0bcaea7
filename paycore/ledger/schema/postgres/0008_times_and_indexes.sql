-- When it first became known to be so, by the ledger's clock. Who opens the ledger fills them and the bodies, for rows
-- with NULL in `open`.
ALTER TABLE payments ADD COLUMN authorized_at bigint;
ALTER TABLE payments ADD COLUMN paid_at bigint;
ALTER TABLE payments ADD COLUMN closed_at bigint;
UPDATE payments SET open = NULL WHERE status IN ('authorized', 'paid', 'closed') OR EXISTS (
    SELECT 1 FROM events e WHERE e.payment_id = payments.id AND e.status_to IN ('authorized', 'closed')
);

-- Every list is read in its order from an index, and goes on after a payment by time and id. What most payments are has
-- no index of its own: pending ones are found among the open ones.
CREATE INDEX payments_account ON payments (account, created_at, id);
CREATE INDEX payments_updated ON payments (updated_at, id);
CREATE INDEX payments_paid ON payments (paid_at, id, account) WHERE paid_at IS NOT NULL;
CREATE INDEX payments_status ON payments (status, created_at, id) WHERE status <> 'pending';
CREATE INDEX payments_account_status ON payments (account, status, created_at, id) WHERE status <> 'pending';
DROP INDEX payments_open;
CREATE INDEX payments_open ON payments (created_at, id, account, status) WHERE open = 1;
CREATE INDEX payments_review ON payments (created_at, id) WHERE review = 1;
CREATE INDEX payments_uncertain ON payments (created_at, id) WHERE uncertain = 1;
CREATE INDEX payments_refunding ON payments (created_at, id) WHERE open = 1 AND status = 'paid';

-- One row where this ledger was copied from a PostgreSQL database, none otherwise: up to `position` there are `events`
-- events, at the positions they had there, with gaps.
CREATE TABLE origin (
    id       integer PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL,
    events   bigint NOT NULL
);
