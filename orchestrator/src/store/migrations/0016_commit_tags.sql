-- The version of the file that a load wrote, by which another one in its place is told from it.

ALTER TABLE commits ADD COLUMN tag TEXT;
