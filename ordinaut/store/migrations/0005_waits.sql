-- Runs that wait hold no worker: their row is WAITING, and what they wait for stands here.

ALTER TABLE due_work DROP CONSTRAINT due_work_state_check;
ALTER TABLE due_work ADD CONSTRAINT due_work_state_check CHECK (state IN ('READY', 'LEASED', 'DELAYED', 'WAITING'));

-- For how long the run has waited: that does not count as time that it takes. Since when it waits now is due_time.
ALTER TABLE due_work ADD waited interval NOT NULL DEFAULT '0';

-- One thing that a step of a live run waits for; it stays until its result is in the journal, or the run has ended.
CREATE TABLE wait (
  run uuid NOT NULL,
  path text NOT NULL, -- empty for a DELAY: the next try of a step while others wait
  project text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('TIMER', 'EVENT', 'DELAY')),
  tool text NOT NULL,
  input jsonb,
  topic text NOT NULL,
  pattern boolean NOT NULL GENERATED ALWAYS AS (topic ~ '[*>]') STORED,
  match jsonb,
  since timestamptz,
  deadline timestamptz,
  scanned boolean NOT NULL DEFAULT false, -- events from before it was known have been looked through
  scan_position bigint, -- up to where, while that goes on
  result jsonb,
  error jsonb,
  create_time timestamptz NOT NULL,
  resolve_time timestamptz, -- NULL: open
  PRIMARY KEY (run, path)
);
CREATE INDEX wait_deadline ON wait (deadline) WHERE resolve_time IS NULL; -- wait.due
CREATE INDEX wait_topic ON wait (project, topic)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT pattern; -- wait.open
CREATE INDEX wait_pattern ON wait (project)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND pattern; -- wait.open
CREATE INDEX wait_unscanned ON wait (create_time)
  WHERE kind = 'EVENT' AND resolve_time IS NULL AND NOT scanned; -- wait.unscanned
