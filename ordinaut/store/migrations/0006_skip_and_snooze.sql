-- Occurrences that somebody skips ahead of their time, and next occurrences that somebody postpones.

ALTER TABLE occurrence DROP CONSTRAINT occurrence_outcome_check;
ALTER TABLE occurrence ADD CONSTRAINT occurrence_outcome_check
  CHECK (outcome IN ('ENQUEUED', 'SKIPPED_OVERLAP', 'COALESCED', 'MISSED', 'PAUSED', 'EXCLUDED', 'SKIPPED'));

-- The next occurrence was postponed: next_fire_time is a person's choice. Planning makes it false.
ALTER TABLE schedule_cursor ADD snoozed boolean NOT NULL DEFAULT false;
