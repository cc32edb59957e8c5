-- Runs are forgotten in the end, by when they ended; and with the last of its runs the text that ran.

CREATE INDEX runs_by_end ON runs (ended_at);
CREATE INDEX runs_of_definition ON runs (definition);
