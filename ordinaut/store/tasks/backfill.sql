-- query create: A backfill of a locked task's current version; nothing when the id is taken.
INSERT INTO backfill (
  uid, task, id, task_version, generation, after_time, until_time, newest_first, reprocess, parallelism, priority,
  params, starter_scopes, state, position, next_look_time, total, create_time)
SELECT
  fresh.uid, t.uid, coalesce(:id::text, fresh.uid::text), t.version, c.generation, :after_time::timestamptz,
  :until_time::timestamptz, :newest_first::boolean, :reprocess, :parallelism, :priority, :params::jsonb, :starter_scopes::text[],
  'RUNNING',
  CASE WHEN :newest_first THEN :until_time ELSE :after_time END, fresh.now, :total, fresh.now
FROM (SELECT new_id() AS uid, clock_now() AS now) AS fresh
JOIN task AS t ON t.uid = :task
JOIN schedule_cursor AS c ON c.task = t.uid
ON CONFLICT (task, id) DO NOTHING
RETURNING id;

-- query running: The number of running backfills of a task.
SELECT count(*) FROM backfill WHERE task = :task AND state = 'RUNNING';

-- fragment columns: The columns of BackfillRecord.
SELECT
  b.uid, b.task, t.name AS task_name, b.id AS name, b.task_version, b.after_time, b.until_time, b.newest_first,
  b.reprocess, b.parallelism, b.priority, b.params::text AS params,
  CASE WHEN b.state = 'RUNNING' AND t.state = 'PAUSED' THEN 'PAUSED' ELSE b.state END AS state, b.state_reason,
  b.total, b.enqueued, b.skipped, b.succeeded, b.failed, b.cancelled, b.create_time, b.end_time
FROM backfill AS b
JOIN task AS t ON t.uid = b.task

-- query get: One backfill of a task.
-- include columns
WHERE b.task = :task AND b.id = :id;

-- query list: A page of a task's backfills.
-- include columns
WHERE b.task = :task
-- filter
-- order
LIMIT :size;

-- query cancel: Ends one running backfill of a task, or all of them when the id is NULL.
WITH running AS MATERIALIZED (
  SELECT uid FROM backfill
  WHERE task = :task AND (:id::text IS NULL OR id = :id) AND state = 'RUNNING'
  ORDER BY uid
  FOR UPDATE
)
UPDATE backfill AS b
SET state = 'CANCELLED', state_reason = :reason, position = NULL, end_time = clock_now()
FROM running
WHERE b.uid = running.uid
RETURNING b.uid;

-- query live_runs: Runs of a backfill that are not counted as ended yet.
SELECT run FROM backfill_run WHERE backfill = :backfill AND live ORDER BY run;

-- query ledger_mark: Up to when a task's ledger is complete, and the generation of its new keys.
SELECT task, generation, last_instant AS settled_until FROM schedule_cursor WHERE task = :task;

-- fragment settled_range: No part of the backfill's range is unsettled.
NOT EXISTS (
  SELECT FROM unsettled_range AS a WHERE a.task = b.task AND a.after_time < b.until_time AND a.until_time > b.after_time)

-- query claim: Claims the backfill that has waited longest among those that may enqueue: the columns of
-- RunningBackfill, in its order. For two seconds no other scheduler claims it. The schedule has precedence: a task is
-- left alone while its cursor is about to be fired, planned or, inside the range, caught up. A backfill tops up once a
-- quarter of its runs has ended, so that it is not examined at every end.
WITH next AS MATERIALIZED (
  SELECT b.uid
  FROM backfill AS b
  JOIN task AS t ON t.uid = b.task
  JOIN schedule_cursor AS c ON c.task = b.task
  WHERE b.state = 'RUNNING' AND b.position IS NOT NULL AND b.next_look_time <= clock_now()
    AND b.live * 4 <= b.parallelism * 3 AND t.state <> 'PAUSED'
    AND NOT EXISTS (SELECT FROM over_quota AS q WHERE q.project = t.project AND q.owner IN ('', t.owner))
    AND (c.next_fire_time > clock_now()
      OR c.next_fire_time < clock_now() - interval '5 seconds' AND c.last_instant >= b.until_time)
    AND
-- include settled_range
  ORDER BY b.next_look_time
  LIMIT 1
  FOR UPDATE OF b SKIP LOCKED
)
UPDATE backfill AS b
SET next_look_time = clock_now() + interval '2 seconds'
FROM next, task_version AS v
WHERE b.uid = next.uid AND v.task = b.task AND v.version = b.task_version
RETURNING
  b.uid, b.task, b.generation, b.after_time, b.until_time, b.newest_first, b.reprocess, b.parallelism, b.live,
  b.position, b.total, v.schedule::text AS schedule;

-- query lock: Locks a backfill that has neither moved nor ended nor been paused since it was read: the columns of
-- LockedBackfill. The caller holds the lock of the task's cursor, so the ledger does not change.
SELECT b.live, c.last_instant AS settled_until
FROM backfill AS b
JOIN task AS t ON t.uid = b.task
JOIN schedule_cursor AS c ON c.task = b.task
WHERE b.uid = :backfill AND b.position = :position AND b.state = 'RUNNING' AND t.state <> 'PAUSED' AND
-- include settled_range
FOR UPDATE OF b;

-- query examine: Which instants of a task the backfill runs, in the given order: the columns of ExaminedInstant.
-- Instants of merged rows never ran. A skipped instant runs only if everything does. The last run of an occurrence is
-- its own or the newest in its chain of retries.
SELECT
  a.instant, o.key, coalesce(o.count, 0) > 1 AS merged,
  CASE
    WHEN a.instant > :settled_until::timestamptz AND o.key IS NULL THEN false -- its cursor is about to fire it
    WHEN o.key IS NULL OR o.count > 1 OR :reprocess::text = 'ALL' THEN true
    WHEN o.run IS NULL THEN o.outcome <> 'SKIPPED'
    ELSE coalesce(last.never_started, false)
      OR :reprocess = 'FAILED' AND coalesce(last.state IN ('FAILED', 'CANCELLED'), false)
  END AS selected
FROM unnest(:instants::timestamptz[], :keys::text[]) WITH ORDINALITY AS a (instant, key, place)
LEFT JOIN LATERAL (
  SELECT x.key, x.count, x.outcome, x.run FROM occurrence AS x WHERE x.task = :task AND x.instant = a.instant
  UNION ALL -- the same occurrence, moved by newer zone data
  SELECT x.key, x.count, x.outcome, x.run FROM occurrence AS x WHERE x.task = :task AND x.key = a.key AND x.count = 1
  LIMIT 1
) AS o ON true
LEFT JOIN LATERAL (
  WITH RECURSIVE retries AS (
    SELECT o.run
    UNION ALL
    SELECT r.run FROM retries AS f JOIN run_retry AS r ON r.retry_of = f.run
  )
  SELECT
    bool_and(r.state IS NOT NULL AND r.start_time IS NULL) AS never_started,
    (array_agg(r.state ORDER BY f.run DESC))[1] AS state
  FROM retries AS f
  -- The planner overestimates the recursive part; the limit keeps it from reading all of `run`.
  LEFT JOIN LATERAL (SELECT e.state, e.start_time FROM run AS e WHERE e.id = f.run LIMIT 1) AS r ON true
) AS last ON o.run IS NOT NULL AND :reprocess <> 'ALL'
ORDER BY a.place;

-- query enqueue: A run for each instant. Where the ledger has a row (`recorded`), it gets the run; else one is
-- inserted.
WITH chosen AS MATERIALIZED (
  SELECT new_id() AS run, w.*
  FROM unnest(
    :instants::timestamptz[], :keys::text[], :recorded::boolean[], :triggers::text[], :params::jsonb[],
    :interval_ends::timestamptz[]) AS w (instant, key, recorded, trigger, params, interval_end)
), fresh AS (
  SELECT
    w.run, t.project, b.task, t.name AS task_name, b.task_version, t.owner, t.labels, 'BACKFILL' AS kind, w.trigger, w.key,
    b.task || '/' || w.key || CASE WHEN o.run IS NULL THEN '' ELSE '!' || (o.reprocessed + 1) END AS root,
    v.params || coalesce(w.params, '{}') || b.params AS params, NULL::jsonb AS event, w.instant AS scheduled_time,
    w.interval_end, NULL::timestamptz AS start_time, NULL::timestamptz AS latest_start, b.priority,
    'ALLOW' AS overlap, NULL::int AS max_buffer, v.max_losses, v.run_timeout, 0::smallint AS depth, 1 AS place, w.recorded,
    clock.now
  FROM chosen AS w
  JOIN backfill AS b ON b.uid = :backfill
  JOIN task AS t ON t.uid = b.task
  JOIN task_version AS v ON v.task = b.task AND v.version = b.task_version
  LEFT JOIN occurrence AS o ON o.task = b.task AND o.key = CASE WHEN w.recorded THEN w.key END
  CROSS JOIN (SELECT clock_now() AS now) AS clock
),
-- include due_work_enqueue.queue
, linked AS (
  INSERT INTO backfill_run (run, backfill) SELECT run, :backfill FROM fresh
), limited AS (
  INSERT INTO run_limit (run, scopes)
  SELECT f.run, b.starter_scopes FROM fresh AS f JOIN backfill AS b ON b.uid = :backfill
  WHERE b.starter_scopes IS NOT NULL
), ran_again AS (
  UPDATE occurrence AS o
  SET run = f.run, reprocessed = o.reprocessed + (o.run IS NOT NULL)::int
  FROM fresh AS f
  WHERE f.recorded AND o.task = f.task AND o.key = f.key
), ledger AS (
  INSERT INTO occurrence (project, task, key, trigger, instant, outcome, run, create_time)
  SELECT project, task, key, trigger, scheduled_time, 'ENQUEUED', run, now FROM fresh WHERE NOT recorded
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM enqueued;

-- query move: Stores the result of one step; a NULL position means that every instant has been examined.
UPDATE backfill
SET
  position = :position::timestamptz, enqueued = enqueued + :enqueued, skipped = skipped + :skipped,
  live = live + :enqueued, next_look_time = clock_now(),
  total = CASE WHEN :position IS NULL THEN enqueued + :enqueued + skipped + :skipped ELSE total END,
  state = CASE WHEN :position IS NULL AND live + :enqueued = 0 THEN 'COMPLETED' ELSE state END,
  end_time = CASE WHEN :position IS NULL AND live + :enqueued = 0 THEN clock_now() END
WHERE uid = :backfill;

-- query settle: Counts ended runs, each once; a backfill without live runs and instants left becomes COMPLETED.
WITH ended AS (
  UPDATE backfill_run AS x
  SET live = false
  FROM unnest(:runs::uuid[], :states::text[]) AS e (run, state)
  WHERE x.run = e.run AND x.live
  RETURNING x.backfill, e.state
), counted AS (
  SELECT
    backfill, count(*) AS ends, count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
    count(*) FILTER (WHERE state = 'FAILED') AS failed, count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled
  FROM ended
  GROUP BY backfill
)
UPDATE backfill AS b
SET
  live = b.live - c.ends, succeeded = b.succeeded + c.succeeded, failed = b.failed + c.failed,
  cancelled = b.cancelled + c.cancelled,
  state = CASE WHEN b.state = 'RUNNING' AND b.position IS NULL AND b.live = c.ends THEN 'COMPLETED' ELSE b.state END,
  end_time = CASE WHEN b.state = 'RUNNING' AND b.position IS NULL AND b.live = c.ends THEN clock_now() ELSE b.end_time END
FROM counted AS c
WHERE b.uid = c.backfill
RETURNING b.uid;

-- query abort: Ends a backfill that cannot be processed, with the reason.
UPDATE backfill
SET state = 'CANCELLED', state_reason = :reason, position = NULL, end_time = clock_now()
WHERE uid = :backfill AND state = 'RUNNING';
