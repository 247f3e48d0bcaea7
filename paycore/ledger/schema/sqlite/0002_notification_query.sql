-- Some providers say everything in the query string: it is evidence as the body is, and tells one notification from another.
ALTER TABLE inbox ADD COLUMN query TEXT NOT NULL DEFAULT '';
