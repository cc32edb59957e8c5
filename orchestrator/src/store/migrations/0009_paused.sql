-- Milliseconds between the attempts of a run: it waited to be tried again, or for somebody who resumed it.

ALTER TABLE runs ADD COLUMN paused_ms BIGINT NOT NULL DEFAULT 0;
