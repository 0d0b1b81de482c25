-- query lock_root: Serializes retries with the same idempotency keys; the live run with these keys is read afterwards.
SELECT pg_advisory_xact_lock(hashtextextended(:root::text, 0));

-- query live: The live run of an idempotency root.
SELECT id FROM due_work WHERE root = :root;

-- query enqueue: A run of the same version with the same inputs and keys, unless its task has been deleted.
WITH fresh AS (
  SELECT
    :run::uuid AS run, r.project, r.task, r.task_name, r.task_version, r.owner, r.labels, 'RETRY' AS kind, r.trigger,
    'run:' || :run::uuid AS key, r.root, r.params, r.event, r.scheduled_time, r.interval_end,
    NULL::timestamptz AS start_time, clock.now + v.start_deadline AS latest_start, v.priority,
    coalesce(v.overlap, 'ALLOW') AS overlap, v.max_buffer, v.max_losses, v.run_timeout, r.depth,
    NULL::timestamptz AS instant, 1 AS place, clock.now
  FROM run AS r
  JOIN task AS t ON t.uid = r.task AND (t.delete_time IS NULL OR r.task_name = '')
  JOIN task_version AS v ON v.task = r.task AND v.version = r.task_version
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE r.id = :retry_of
),
-- include due_work_enqueue.enqueue
SELECT
  queued.id AS run,
-- include due_work_enqueue.live_run
FROM fresh
LEFT JOIN queued ON true;

-- query copy_steps: The completed steps, as the beginning of the journal of the new run; error handlers are not copied.
-- Calls with an unknown outcome are copied as RUNNING: the new run starts by determining their outcome.
INSERT INTO step_run (run, path, attempt, seq, state, tool, input, output, segment_time, start_time, end_time)
SELECT
  :run, path, attempt, row_number() OVER (ORDER BY seq, path, attempt) - 1,
  CASE state WHEN 'FAILED' THEN 'RUNNING' ELSE state END, tool, input, output, segment_time, start_time, end_time
FROM step_run
WHERE run = :retry_of
  AND (state IN ('SUCCEEDED', 'SKIPPED', 'RUNNING') OR error ->> 'step' = path AND (
    error @> '{"code": "OUTCOME_UNKNOWN"}' AND NOT error @> '{"details": {"choice": "repeat"}}'
    OR error @> '{"details": {"happened": true}}'))
  AND path !~ '(^|[.])on_error([.]|$)';

-- query see_same_events: Events that were published after the old run was created count for the new one too.
UPDATE due_work AS d SET log_mark = r.log_mark FROM run AS r WHERE d.id = :run AND r.id = :retry_of;

-- query record_retry: Stores which run the new one retries.
INSERT INTO run_retry (run, retry_of) VALUES (:run, :retry_of);

-- query inherit: The new run takes the place of the old one for the step that started it.
INSERT INTO run_child (run, parent, path, key, awaited)
SELECT :run, parent, path, key, false FROM run_child WHERE run = :retry_of;
