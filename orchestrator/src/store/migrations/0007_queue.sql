-- The queue and the runs under way are few among all that were ever run, and looked at again and again: each has an index
-- of its own that holds nothing else. Lists by state go by id.

DROP INDEX runs_in_queue;
CREATE INDEX runs_queued ON runs (pipeline, priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_under_way ON runs (owner) WHERE state IN ('running', 'cancelling');
CREATE INDEX runs_by_state ON runs (state, id);
