-- Run policies around the schedule: start deadlines, pausing after failures, the dead man's switch.

ALTER TABLE task_version ADD start_deadline interval; -- NULL: a run may start however late
ALTER TABLE task_version ADD pause_after_failures smallint; -- NULL: never
ALTER TABLE task_version ADD expect_success_every interval; -- NULL: nobody waits for a success

ALTER TABLE due_work ADD latest_start timestamptz; -- a run that has not started by then ends
CREATE INDEX due_work_latest_start ON due_work (latest_start)
  WHERE latest_start IS NOT NULL AND start_time IS NULL; -- due_work.end_unstarted

-- How a task fares, for tasks whose policy asks for it.
CREATE TABLE task_health (
  task uuid PRIMARY KEY REFERENCES task,
  failures int NOT NULL DEFAULT 0, -- runs that failed in a row
  overdue_time timestamptz NOT NULL -- without a success until then it is told; infinity: nothing is expected
);
CREATE INDEX task_health_overdue ON task_health (overdue_time); -- task_health.tell_overdue
