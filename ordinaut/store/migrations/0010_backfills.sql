-- Backfills: stretches of a task's past that are run, or run again.

CREATE TABLE backfill (
  uid uuid PRIMARY KEY,
  task uuid NOT NULL REFERENCES task,
  id text NOT NULL,
  task_version bigint NOT NULL, -- whose schedule and pipeline hold from the beginning to the end
  generation int NOT NULL, -- of the keys of occurrences that have no row yet
  after_time timestamptz NOT NULL, -- exclusive
  until_time timestamptz NOT NULL, -- inclusive
  newest_first boolean NOT NULL,
  reprocess text NOT NULL CHECK (reprocess IN ('NONE', 'FAILED', 'ALL')),
  parallelism int NOT NULL,
  priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 9),
  params jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED')),
  state_reason text NOT NULL DEFAULT '',
  -- What is still to be looked at lies behind it, newest first: before and at it. NULL: nothing is left.
  position timestamptz,
  turn_time timestamptz NOT NULL, -- the smallest has its turn; one that lies ahead is being worked on
  total int NOT NULL, -- of instants; each becomes enqueued or skipped
  enqueued int NOT NULL DEFAULT 0,
  skipped int NOT NULL DEFAULT 0,
  live int NOT NULL DEFAULT 0, -- of the enqueued, those whose end is not counted yet
  succeeded int NOT NULL DEFAULT 0,
  failed int NOT NULL DEFAULT 0,
  cancelled int NOT NULL DEFAULT 0,
  create_time timestamptz NOT NULL,
  end_time timestamptz,
  UNIQUE (task, id) -- backfill.get, backfill.list
);
CREATE INDEX backfill_turn ON backfill (turn_time) WHERE state = 'RUNNING' AND position IS NOT NULL; -- backfill.take_turn

-- Which backfill a run belongs to. A table of its own: the queue and the history carry nothing for the other runs.
CREATE TABLE backfill_run (
  run uuid PRIMARY KEY,
  backfill uuid NOT NULL,
  live boolean NOT NULL DEFAULT true
);
CREATE INDEX backfill_run_live ON backfill_run (backfill) WHERE live; -- backfill.live_runs

-- The resource name of the backfill that a run belongs to; NULL: to none.
CREATE FUNCTION backfill_of(of_run uuid) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
  SELECT concat('tasks/', t.name, '/backfills/', b.id)
  FROM backfill_run AS x
  JOIN backfill AS b ON b.uid = x.backfill
  JOIN task AS t ON t.uid = b.task
  WHERE x.run = of_run
$$;

-- How often a backfill has run anew what had a run: it makes the idempotency keys of each time different.
ALTER TABLE occurrence ADD reprocessed int NOT NULL DEFAULT 0;
CREATE INDEX occurrence_collapsed ON occurrence (task, instant) WHERE count > 1; -- occurrence.collapsed

CREATE INDEX run_retry_of ON run_retry (retry_of); -- backfill.examine
