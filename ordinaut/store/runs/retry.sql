-- query newest: The last run in the chain of retries of a run; the run itself if it has not been retried.
WITH RECURSIVE chain AS (
  SELECT :run::uuid AS run, 0 AS place
  UNION ALL
  SELECT x.run, c.place + 1 FROM chain AS c JOIN run_retry AS x ON x.retry_of = c.run
)
SELECT run FROM chain ORDER BY place DESC LIMIT 1;

-- query claim: Makes `run` the retry of a run. The unique index on retry_of makes a concurrent retry wait for the end of
-- this transaction; then its own insert returns no row, and it reads the chain again.
INSERT INTO run_retry (run, retry_of) VALUES (:run, :retry_of) ON CONFLICT (retry_of) DO NOTHING RETURNING run;

-- query unclaim: A retry that cannot be enqueued leaves the run as it was.
DELETE FROM run_retry WHERE run = :run;

-- query latest_version: The current version of a task; NULL for a deleted task, and for a run without a task.
SELECT version FROM task WHERE uid = :task AND delete_time IS NULL;

-- query saved_scopes: The scopes of the token that saved a version.
SELECT scopes FROM task_version WHERE task = :task AND version = :version;

-- query step_ids: The ids of the steps of a version, in the order of the document.
SELECT ARRAY(
  SELECT s.step ->> 'id' FROM jsonb_array_elements(v.pipeline -> 'steps') WITH ORDINALITY AS s (step, place)
  ORDER BY s.place)
FROM task_version AS v
WHERE v.task = :task AND v.version = :version;

-- query enqueue: A run of a version with the same inputs, unless its task has been deleted. It has the same keys, or, if
-- `fresh_keys`, new ones.
WITH fresh AS (
  SELECT
    :run::uuid AS run, r.project, r.task, r.task_name, v.version AS task_version, r.owner, r.labels, 'RETRY' AS kind,
    r.trigger, 'run:' || :run::uuid AS key,
    CASE
      WHEN NOT :fresh_keys::boolean THEN r.root
      ELSE CASE WHEN r.task_name <> '' THEN r.task || '/' ELSE '' END || 'run:' || :run::uuid END AS root,
    r.params, r.event, r.scheduled_time, r.interval_end,
    NULL::timestamptz AS start_time, clock.now + v.start_deadline AS latest_start, v.priority,
    coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer, v.max_losses, v.run_timeout, r.depth,
    NULL::timestamptz AS instant, 1 AS place, clock.now,
    coalesce(v.run_policy ->> 'rights' = 'LIMITED_BY_STARTER', false) AS limited
  FROM run AS r
  JOIN task AS t ON t.uid = r.task AND (t.delete_time IS NULL OR r.task_name = '')
  JOIN task_version AS v ON v.task = r.task AND v.version = coalesce(:version, r.task_version)
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE r.id = :retry_of AND r.error ->> 'code' IS DISTINCT FROM 'ERASED' -- its inputs are gone
),
-- include due_work_enqueue.enqueue
SELECT
  queued.id AS run, fresh.limited,
-- include due_work_enqueue.live_run
FROM fresh
LEFT JOIN queued ON true;

-- query copy_steps: The completed steps, as the beginning of the journal of the new run, without error handlers and `finally`.
-- Calls with an unknown outcome are copied as RUNNING: the new run starts by determining their outcome. `kept` are the
-- ids of the steps of the document whose results are kept; NULL: all.
INSERT INTO step_run (run, path, attempt, seq, state, tool, input, output, segment_time, start_time, end_time)
SELECT
  :run, path, attempt, row_number() OVER (ORDER BY seq, path, attempt) - 1,
  CASE state WHEN 'FAILED' THEN 'RUNNING' ELSE state END, tool, input, output, segment_time, start_time, end_time
FROM step_run
WHERE run = :retry_of
  AND (state IN ('SUCCEEDED', 'SKIPPED', 'RUNNING') OR error ->> 'step' = path AND (
    error @> '{"code": "OUTCOME_UNKNOWN"}' AND NOT error @> '{"details": {"choice": "repeat"}}'
    OR error @> '{"details": {"happened": true}}'))
  AND path !~ '(^|[.])on_error([.]|$)|^finally([.]|$)'
  AND (:kept::text[] IS NULL OR split_part(split_part(path, '.', 1), '[', 1) = ANY(:kept));

-- query see_same_events: Events that were published after the old run was created count for the new one too.
UPDATE due_work AS d SET log_mark = r.log_mark FROM run AS r WHERE d.id = :run AND r.id = :retry_of;

-- query inherit: The new run takes the place of the old one for the step that started it.
INSERT INTO run_child (run, parent, path, key, awaited)
SELECT :run, parent, path, key, false FROM run_child WHERE run = :retry_of;
