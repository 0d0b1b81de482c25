-- Runs that wait for their turn: what happens when a task is due and a run of it is live.

ALTER TABLE task_version DROP CONSTRAINT task_version_overlap_check;
ALTER TABLE task_version ADD CONSTRAINT task_version_overlap_check
  CHECK (overlap IN ('SKIP', 'BUFFER_ONE', 'BUFFER_ALL', 'CANCEL_OTHER', 'ALLOW')); -- NULL: by kind
ALTER TABLE task_version ADD max_buffer int; -- of BUFFER_ALL: so many may wait
ALTER TABLE task_version ADD ignore_waiting boolean NOT NULL DEFAULT false; -- a run that has waited is no live one

ALTER TABLE occurrence DROP CONSTRAINT occurrence_outcome_check;
ALTER TABLE occurrence ADD CONSTRAINT occurrence_outcome_check CHECK (outcome IN (
  'ENQUEUED', 'BUFFERED', 'SKIPPED_OVERLAP', 'COALESCED', 'MISSED', 'PAUSED', 'EXCLUDED', 'SKIPPED'));

-- BLOCKED: it waits for its turn, in the order of ready_time. Whoever adds one holds the lock of its task's cursor.
ALTER TABLE due_work DROP CONSTRAINT due_work_state_check;
ALTER TABLE due_work ADD CONSTRAINT due_work_state_check
  CHECK (state IN ('READY', 'LEASED', 'DELAYED', 'WAITING', 'BLOCKED'));
ALTER TABLE due_work ADD supersedes boolean NOT NULL DEFAULT false; -- BLOCKED until what is older has been cancelled
CREATE INDEX due_work_blocked ON due_work (task, ready_time, id)
  WHERE state = 'BLOCKED'; -- overlap.give_turns, blocked_runs
CREATE INDEX due_work_superseding ON due_work (task, ready_time, id)
  WHERE state = 'BLOCKED' AND supersedes; -- overlap.give_turns, overlap.overtaken

-- How many runs of a task wait for their turn, with its cursor locked, so that no other is added meanwhile. VOLATILE:
-- then the count is taken after the lock was got and sees what its last holder has committed.
CREATE FUNCTION blocked_runs(wanted uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM schedule_cursor WHERE task = wanted FOR UPDATE;
  RETURN (SELECT count(*) FROM due_work WHERE task = wanted AND state = 'BLOCKED');
END $$;
