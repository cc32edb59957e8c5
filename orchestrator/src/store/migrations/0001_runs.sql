-- Times are milliseconds since 1970 (UTC), flags are 0 or 1, and bodies are JSON, so that SQLite and PostgreSQL share
-- one text.

CREATE TABLE definitions (
    hash TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE pipelines (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE pipeline_versions (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    definition TEXT NOT NULL REFERENCES definitions (hash),
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    version BIGINT,
    definition TEXT NOT NULL REFERENCES definitions (hash),
    sets TEXT NOT NULL,
    services TEXT NOT NULL,
    state TEXT NOT NULL,
    priority BIGINT NOT NULL,
    concurrency BIGINT,
    attempt BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    reuse BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    owner TEXT,
    lease_until BIGINT,
    fence BIGINT NOT NULL,
    fault TEXT,
    traceparent TEXT,
    idempotency_key TEXT UNIQUE,
    submitted_by TEXT NOT NULL,
    origin TEXT NOT NULL,
    event_seq BIGINT NOT NULL
);

CREATE INDEX runs_in_queue ON runs (state, pipeline, priority DESC, id);
CREATE INDEX runs_of_pipeline ON runs (pipeline, id);

CREATE TABLE attempts (
    run_id TEXT NOT NULL REFERENCES runs (id),
    attempt BIGINT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    report TEXT,
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE events (
    run_id TEXT NOT NULL REFERENCES runs (id),
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE kept (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    output TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    path TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    checksum TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, step, output)
);

CREATE INDEX kept_by_age ON kept (created_at);

CREATE TABLE commits (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    receipt TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, step)
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
