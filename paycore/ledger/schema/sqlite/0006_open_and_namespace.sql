-- (namespace, reference) names one payment. Where a reference repeated over accounts, the first payment with it keeps
-- the name; the others are given one of their account when the ledger is opened: NULL until then.
ALTER TABLE payments ADD COLUMN namespace TEXT DEFAULT '';
UPDATE payments SET namespace = NULL WHERE EXISTS (
    SELECT 1 FROM payments earlier WHERE earlier.reference = payments.reference
    AND (earlier.created_at, earlier.id) < (payments.created_at, payments.id)
);
CREATE UNIQUE INDEX payments_reference ON payments (reference, namespace);

-- The same for refunds, whose namespace is their payment's. NULL for ever: another refund had the name before.
ALTER TABLE refunds ADD COLUMN namespace TEXT DEFAULT '';
UPDATE refunds SET namespace = account
WHERE payment_id IN (SELECT id FROM payments WHERE namespace IS NULL);
UPDATE refunds SET namespace = NULL WHERE namespace = '' AND EXISTS (
    SELECT 1 FROM refunds other
    WHERE other.reference = refunds.reference AND other.namespace = '' AND other.account < refunds.account
);
CREATE UNIQUE INDEX refunds_reference ON refunds (reference, namespace);

-- Whether anything of the payment is not final. Who opens the ledger finds that out where it can't be told from here:
-- NULL until then.
ALTER TABLE payments ADD COLUMN open INTEGER DEFAULT 0;
UPDATE payments SET open = NULL WHERE status NOT IN ('paid', 'failed', 'closed') OR uncertain <> 0
    OR namespace IS NULL OR body LIKE '%"refunds":%' OR body LIKE '%"kind":"create"%"kind":"create"%';
CREATE INDEX payments_unread ON payments (id) WHERE open IS NULL;
CREATE INDEX payments_open ON payments (created_at, id) WHERE open = 1;

-- Lists go on after a payment, by time and id.
DROP INDEX payments_created;
CREATE INDEX payments_listed ON payments (created_at, id);
