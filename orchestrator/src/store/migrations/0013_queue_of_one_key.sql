-- A queue is told by one text, so that one look finds the head of the next.

DROP INDEX runs_queued;
CREATE INDEX runs_queued ON runs ((substr(services, 1, 200) || pipeline), priority DESC, id) WHERE state = 'queued';
