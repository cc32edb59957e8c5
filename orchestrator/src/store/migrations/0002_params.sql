-- The values that a run gives the parameters of its pipeline: an object.

ALTER TABLE runs ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
