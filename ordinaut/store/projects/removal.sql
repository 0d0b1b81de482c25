-- query lock: A project that is being deleted, unless another scheduler works on it. The lock does not conflict with
-- those that foreign keys take, so calls that began before the deletion end as usual.
SELECT name, delete_time <= clock_now() - :settle::interval AS settled, delete_time <= clock_now() - :patience::interval AS overdue
FROM project
WHERE state = 'DELETING' AND name > :after
ORDER BY name
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED;

-- query tasks: Tasks of a project that are not deleted.
SELECT uid FROM task WHERE project = :project AND delete_time IS NULL LIMIT :batch;

-- query live_runs: Runs of a project that have not been asked to end.
SELECT id FROM due_work WHERE project = :project AND NOT cancel_requested LIMIT :batch;

-- query has_live_runs: Whether a project has rows in the queue.
SELECT EXISTS (SELECT FROM due_work WHERE project = :project);

-- fragment rows_of_runs: What belongs to the runs in `gone`.
steps AS (
  DELETE FROM step_run WHERE run IN (SELECT id FROM gone)
), waits AS (
  DELETE FROM wait WHERE run IN (SELECT id FROM gone)
), retries AS (
  DELETE FROM run_retry WHERE run IN (SELECT id FROM gone)
), children AS (
  DELETE FROM run_child WHERE run IN (SELECT id FROM gone)
), limits AS (
  DELETE FROM run_limit WHERE run IN (SELECT id FROM gone)
), backfills AS (
  DELETE FROM backfill_run WHERE run IN (SELECT id FROM gone)
)

-- query drop_live_runs: Takes runs out of the queue that have not ended after their cancellation. A worker that holds
-- one no longer owns its row, so it writes nothing more.
WITH gone AS (
  DELETE FROM due_work
  WHERE id IN (SELECT d.id FROM due_work AS d WHERE d.project = :project ORDER BY d.id LIMIT :batch FOR UPDATE)
  RETURNING id
),
-- include rows_of_runs
SELECT count(*) FROM gone;

-- query runs: Ended runs of a project, with their steps.
WITH gone AS (
  DELETE FROM run
  WHERE id IN (SELECT r.id FROM run AS r WHERE r.project = :project ORDER BY r.id LIMIT :batch)
  RETURNING id
),
-- include rows_of_runs
SELECT count(*) FROM gone;

-- query waits: Waits of runs that have ended.
DELETE FROM wait WHERE ctid = ANY(ARRAY(SELECT ctid FROM wait WHERE project = :project LIMIT :batch));

-- query approvals: Approvals.
DELETE FROM approval WHERE ctid = ANY(ARRAY(SELECT ctid FROM approval WHERE project = :project LIMIT :batch));

-- fragment of_project: The rows of a table `x` by task, at most a batch.
  JOIN task AS t ON t.uid = x.task WHERE t.project = :project LIMIT :batch));

-- query occurrences: The ledger.
DELETE FROM occurrence WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM occurrence AS x
-- include of_project

-- query cursors: Cursors.
DELETE FROM schedule_cursor WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM schedule_cursor AS x
-- include of_project

-- query ranges: Unsettled ranges.
DELETE FROM unsettled_range WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM unsettled_range AS x
-- include of_project

-- query healths: Health of tasks.
DELETE FROM task_health WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM task_health AS x
-- include of_project

-- query match_todos: Conditions to be evaluated.
DELETE FROM match_todo WHERE ctid = ANY(ARRAY(SELECT ctid FROM match_todo WHERE project = :project LIMIT :batch));

-- query triggers: Event triggers.
DELETE FROM event_trigger WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM event_trigger AS x
-- include of_project

-- query backfills: Backfills.
DELETE FROM backfill WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM backfill AS x
-- include of_project

-- query versions: Versions of tasks.
DELETE FROM task_version WHERE ctid = ANY(ARRAY(
  SELECT x.ctid FROM task_version AS x
-- include of_project

-- query task_rows: Tasks without versions.
DELETE FROM task WHERE ctid = ANY(ARRAY(SELECT ctid FROM task WHERE project = :project LIMIT :batch));

-- query state_entries: State.
DELETE FROM state_entry WHERE ctid = ANY(ARRAY(SELECT ctid FROM state_entry WHERE project = :project LIMIT :batch));

-- query tools: Tools.
DELETE FROM tool WHERE ctid = ANY(ARRAY(SELECT ctid FROM tool WHERE project = :project LIMIT :batch));

-- query event_ids: Ids of events.
DELETE FROM event WHERE ctid = ANY(ARRAY(SELECT ctid FROM event WHERE project = :project LIMIT :batch));

-- query events: Events that the matcher has seen: it reads the log in order, so what is ahead of it stays.
DELETE FROM outbox WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM outbox
  WHERE project = :project AND position + count - 1 <= (SELECT value FROM position WHERE name = 'matcher')
  LIMIT :batch));

-- query has_events: Whether events are left.
SELECT EXISTS (SELECT FROM outbox WHERE project = :project);

-- query responses: Stored responses.
DELETE FROM request_log WHERE ctid = ANY(ARRAY(SELECT ctid FROM request_log WHERE project = :project LIMIT :batch));

-- query audit_records: The audit log. What operators did to the project is in the log of the reserved project, and stays.
SELECT remove_audit(:project, :batch);

-- query tokens: Tokens that were created while the deletion began.
DELETE FROM agent_token WHERE project = :project;

-- query quotas: Quotas that were set.
DELETE FROM project_quota WHERE project = :project;

-- query agents: Agents.
DELETE FROM agent WHERE ctid = ANY(ARRAY(SELECT ctid FROM agent WHERE project = :project LIMIT :batch));

-- query project: The project itself.
DELETE FROM project WHERE name = :project AND state = 'DELETING';
