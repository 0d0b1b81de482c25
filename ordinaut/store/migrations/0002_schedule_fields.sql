-- Exclusions, a common pace for catching up, and the ledger of a task in its order.

-- What the ledger will say of the next instant instead of running it; NULL: it runs.
ALTER TABLE schedule_cursor ADD next_outcome text CHECK (next_outcome IN ('EXCLUDED'));

ALTER TABLE occurrence DROP CONSTRAINT occurrence_outcome_check;
ALTER TABLE occurrence ADD CONSTRAINT occurrence_outcome_check
  CHECK (outcome IN ('ENQUEUED', 'SKIPPED_OVERLAP', 'COALESCED', 'MISSED', 'PAUSED', 'EXCLUDED'));

-- Up to when the runs of catch-up are given out: all schedulers together start them at one rate.
ALTER TABLE installation ADD catch_up_time timestamptz NOT NULL DEFAULT '-infinity';

CREATE INDEX occurrence_time ON occurrence (task, coalesce(instant, create_time), key); -- occurrence.list
