-- query rescue: Takes back rows without a live lease: their worker is lost.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), orphan AS MATERIALIZED (
  SELECT w.id
  FROM clock, due_work AS w
  WHERE w.state = 'LEASED'
    AND NOT EXISTS (SELECT FROM lease AS l WHERE l.id = w.lease_owner AND l.expire_time > clock.now)
  ORDER BY w.id
  LIMIT :batch
  FOR UPDATE OF w SKIP LOCKED
)
UPDATE due_work AS d
SET
-- include due_work.loss
FROM orphan, clock
WHERE d.id = orphan.id
RETURNING d.id;

-- query end_unclaimed: Ends quarantined rows that reached max_losses or have a requested cancel.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.state = 'READY' AND w.isolation_size IS NOT NULL
    AND (w.losses >= w.max_losses OR w.cancel_requested AND NOT has_finally(w.task, w.task_version))
  ORDER BY w.id
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*,
    CASE WHEN d.cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END AS end_state,
    NULL::jsonb AS output,
    CASE WHEN NOT d.cancel_requested THEN jsonb_build_object(
      'code', 'LOST_TOO_OFTEN', 'retryable', false,
      'message', format('the engine or worker was lost %s times while it executed only this run', d.losses))
    END AS error,
    d.cancel_reason AS reason, clock.now
),
-- include due_work.cancelled_waits
-- include due_work.end
SELECT id FROM gone;

-- query end_unstarted: Ends runs that have not started by their deadline; their occurrences become MISSED.
WITH clock AS MATERIALIZED (SELECT clock_now() AS now), doomed AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.latest_start <= clock_now() AND w.start_time IS NULL AND w.state <> 'LEASED'
  ORDER BY w.latest_start
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM due_work AS d
  USING doomed, clock
  WHERE d.id = doomed.id
  RETURNING d.*, 'CANCELLED' AS end_state, NULL::jsonb AS output,
    jsonb_build_object(
      'code', 'START_DEADLINE', 'retryable', false,
      'message', 'the run had not started by its deadline') AS error,
    'the run had not started by its deadline' AS reason, clock.now
), missed AS (
  UPDATE occurrence AS o
  SET outcome = 'MISSED', reason = 'its run had not started by the deadline'
  FROM gone AS g
  WHERE o.task = g.task AND o.key = g.occurrence AND o.run = g.id
),
-- include due_work.end
SELECT id FROM gone;

-- query promote: Makes delayed rows claimable that are due.
WITH due AS MATERIALIZED (
  SELECT w.id FROM due_work AS w
  WHERE w.state = 'DELAYED' AND w.due_time <= clock_now()
  ORDER BY w.due_time
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
)
UPDATE due_work AS d SET state = 'READY', ready_time = clock_now()
FROM due
WHERE d.id = due.id;

-- query seconds_to_promotion: Seconds until the next delayed row is due.
SELECT extract(epoch FROM min(due_time) - clock_now())::float8 FROM due_work WHERE state = 'DELAYED';

-- query lock: Locks rows in id order, before related rows are changed.
SELECT id FROM due_work WHERE id = ANY(:ids::uuid[]) ORDER BY id FOR UPDATE;

-- query wake: Makes locked WAITING rows claimable; the time that they waited does not count as run time.
UPDATE due_work AS d
SET state = 'READY', ready_time = clock.now, waited = d.waited + (clock.now - d.due_time)
FROM (SELECT clock_now() AS now) AS clock
WHERE d.id = ANY(:ids::uuid[]) AND d.state = 'WAITING';
