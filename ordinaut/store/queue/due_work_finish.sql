-- fragment owned: The rows that a worker's write may change: those of its lease, by fence, while the lease is live.
-- Every write of results has this condition. A worker that was paused or cut off may write after its lease expired and
-- another worker claimed the run: the fence, which rises with each claim, then differs. The lease is checked too, since
-- until the rescue the fence is unchanged, although the run already counts as lost. The clock is the database's, so a
-- worker with a wrong clock cannot extend its right. Rows that do not match are missing in the result of the statement,
-- and the worker drops what it has for them.
d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
AND EXISTS (SELECT FROM lease AS l WHERE l.id = :lease AND l.expire_time > clock.now)

-- query lock_owned: Locks the rows that the worker still owns, in id order, before related rows are written.
SELECT d.id
FROM unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
CROSS JOIN (SELECT clock_now() AS now) AS clock
JOIN due_work AS d ON
-- include owned
ORDER BY d.id
FOR UPDATE OF d;

-- fragment finished_entry: An entry replaces the start of its call; a repeated entry changes nothing.
ON CONFLICT (run, path, attempt) DO UPDATE
SET state = excluded.state, output = excluded.output, error = excluded.error, end_time = excluded.end_time
WHERE step_run.state IN ('RUNNING', 'STARTED')

-- query record_steps: Inserts journal entries of locked rows.
INSERT INTO step_run (
  run, path, attempt, seq, state, tool, input, output, error, segment_time, start_time, end_time)
SELECT s.run, s.path, s.attempt, s.seq, s.state, s.tool, s.input, s.output, s.error, d.segment_time,
  to_timestamp(s.start_us / 1e6), to_timestamp(s.end_us / 1e6)
FROM unnest(
  :runs::uuid[], :paths::text[], :attempts::int[], :seqs::int[], :states::text[], :tools::text[], :inputs::jsonb[],
  :outputs::jsonb[], :errors::jsonb[], :starts::bigint[], :ends::bigint[])
  AS s (run, path, attempt, seq, state, tool, input, output, error, start_us, end_us)
JOIN due_work AS d ON d.id = s.run
-- include finished_entry

-- query complete: Ends runs that the worker still owns, with their last steps, in one statement.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now),
gone AS (
  DELETE FROM due_work AS d
  USING clock, unnest(:ids::uuid[], :fences::bigint[], :states::text[], :outputs::jsonb[], :errors::jsonb[])
    AS w (id, fence, end_state, output, error)
  WHERE
-- include owned
  RETURNING d.*, w.end_state, w.output, w.error, d.cancel_reason AS reason, clock.now
), steps AS (
  INSERT INTO step_run (
    run, path, attempt, seq, state, tool, input, output, error, segment_time, start_time, end_time)
  SELECT s.run, s.path, s.attempt, s.seq, s.state, s.tool, s.input, s.output, s.error, g.segment_time,
    to_timestamp(s.start_us / 1e6), to_timestamp(s.end_us / 1e6)
  FROM unnest(
    :runs::uuid[], :paths::text[], :attempts::int[], :seqs::int[], :step_states::text[], :tools::text[],
    :inputs::jsonb[], :step_outputs::jsonb[], :step_errors::jsonb[], :starts::bigint[], :ends::bigint[])
    AS s (run, path, attempt, seq, state, tool, input, output, error, start_us, end_us)
  JOIN gone AS g ON g.id = s.run
-- include finished_entry
),
-- include due_work.end
SELECT id FROM gone;

-- fragment unclaimable_if_cancelled: A returned row that is to be cancelled is quarantined: no claim takes it, unless its
-- pipeline has steps that run after a cancellation.
  isolation_size = CASE
    WHEN d.cancel_requested AND NOT has_finally(d.task, d.task_version) THEN coalesce(d.isolation_size, 64)
    ELSE d.isolation_size END

-- query delay: Returns runs to the queue until their next attempt; they hold no slot until then.
UPDATE due_work AS d
SET
  state = CASE WHEN d.cancel_requested THEN 'READY' ELSE 'DELAYED' END, lease_owner = NULL,
  due_time = clock.now + w.delay_ms * interval '1 millisecond',
  ready_time = clock.now + CASE WHEN d.cancel_requested THEN 0 ELSE w.delay_ms END * interval '1 millisecond',
-- include unclaimable_if_cancelled
FROM
  (SELECT clock_now() AS now) AS clock,
  unnest(:ids::uuid[], :fences::bigint[], :delays::bigint[]) AS w (id, fence, delay_ms)
WHERE
-- include owned
RETURNING d.id;

-- query suspend: Returns runs to the queue: WAITING, or READY if a wait has a result already.
WITH suspended AS (
  UPDATE due_work AS d
  SET
    state = CASE WHEN d.cancel_requested OR EXISTS (
      SELECT FROM wait WHERE wait.run = d.id AND wait.resolve_time IS NOT NULL) THEN 'READY' ELSE 'WAITING' END,
    lease_owner = NULL, segment_time = NULL, due_time = clock.now, ready_time = clock.now,
    exclusive = CASE WHEN d.exclusive THEN NOT (
      SELECT v.ignore_waiting FROM task_version AS v WHERE v.task = d.task AND v.version = d.task_version)
      ELSE false END,
-- include unclaimable_if_cancelled
  FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
  WHERE
-- include owned
  RETURNING d.id, d.fence, d.project, d.task, d.task_name, d.kind, d.depth, d.state, clock.now
), announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT
    project,
    json_agg(json_build_object(
      'uid', concat(id, '-waiting-', fence), 'topic', 'ordinaut.run.waiting', 'source', concat('runs/', id),
      'subject', concat(CASE WHEN task_name <> '' THEN 'tasks/' END, task_name), 'id', '', 'publisher', '',
      'depth', depth, 'data', json_build_object('kind', kind, 'task_uid', task))),
    count(*), max(now)
  FROM suspended
  WHERE state = 'WAITING'
  GROUP BY project
)
SELECT id, state FROM suspended;

-- query release: Returns rows without counting a loss: draining, a claim not dispatched, a commit with unknown outcome.
UPDATE due_work AS d
SET
  state = 'READY', lease_owner = NULL, ready_time = clock.now,
-- include unclaimable_if_cancelled
FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
WHERE d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
RETURNING d.id;

-- query lose: Returns the rows of a lost engine.
UPDATE due_work AS d
SET
-- include due_work.loss
FROM (SELECT clock_now() AS now) AS clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
WHERE d.id = w.id AND d.fence = w.fence AND d.lease_owner = :lease AND d.state = 'LEASED'
RETURNING d.id;

-- query end_cancelled_owned: Ends runs that the worker owns and that have a requested cancel.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), gone AS (
  DELETE FROM due_work AS d
  USING clock, unnest(:ids::uuid[], :fences::bigint[]) AS w (id, fence)
  WHERE d.cancel_requested AND
-- include owned
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output, NULL::jsonb AS error, d.cancel_reason AS reason,
    clock.now
),
-- include due_work.cancelled_waits
-- include due_work.end
SELECT id FROM gone;

-- query end_cancelled: Ends rows that no worker holds: some runs, or those of a task, a thousand at a time. Runs that
-- have started and have steps that run after a cancellation are left to `request_cancel`.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE (w.id = ANY(:runs::uuid[]) OR w.task = :task::uuid) AND w.state <> 'LEASED'
    AND (w.start_time IS NULL OR NOT has_finally(w.task, w.task_version))
  ORDER BY w.id
  LIMIT 1000
  FOR UPDATE
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output, NULL::jsonb AS error, :reason::text AS reason,
    clock.now
),
-- include due_work.cancelled_waits
-- include due_work.end
SELECT id FROM gone;

-- query request_cancel: Requests that the worker holding the rows cancels them. A run that has started, that no worker
-- holds and that has steps which run after a cancellation becomes claimable for these; its waits end at once.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id, w.state FROM due_work AS w
  WHERE (w.id = ANY(:runs::uuid[]) OR w.task = :task::uuid) AND NOT w.cancel_requested
    AND (w.state = 'LEASED' OR w.start_time IS NOT NULL AND has_finally(w.task, w.task_version))
  ORDER BY w.id
  FOR UPDATE
), requested AS (
  UPDATE due_work AS d SET
    cancel_requested = true, cancel_reason = :reason,
    state = CASE WHEN doomed.state = 'LEASED' THEN 'LEASED' ELSE 'READY' END,
    ready_time = CASE WHEN doomed.state IN ('WAITING', 'DELAYED') THEN clock.now ELSE d.ready_time END,
    waited = d.waited + CASE WHEN doomed.state = 'WAITING' THEN clock.now - d.due_time ELSE '0' END
  FROM doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.id, d.claims, d.segment_time, doomed.state, 'CANCELLED' AS end_state, clock.now
), gone AS (
  SELECT * FROM requested WHERE state <> 'LEASED'
),
-- include due_work.cancelled_waits
-- include wait.delete_waits
SELECT id FROM requested;

-- query cancel_is_requested: Whether a run's cancellation is requested; NULL if it has no row.
SELECT cancel_requested FROM due_work WHERE id = :run;
