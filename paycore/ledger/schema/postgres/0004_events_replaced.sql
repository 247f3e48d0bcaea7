-- Nothing to do: `INSERT ... ON CONFLICT DO UPDATE` fires the trigger against updating. SQLite's needed one more.
SELECT 1;
