-- Every question that an application or operator asks has an index.
CREATE INDEX payments_account ON payments (account, created_at, id);
