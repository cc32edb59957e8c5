-- Runs of one pipeline that use the same services are a queue: where one of these has no room for more, nobody need look into it.

DROP INDEX runs_queued;
CREATE INDEX runs_queued ON runs (pipeline, substr(services, 1, 200), priority DESC, id) WHERE state = 'queued';
