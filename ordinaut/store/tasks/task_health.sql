-- query put: Monitors a task if its current version asks for it; counts continue unless they are reset.
WITH current AS (
  SELECT
    t.uid, v.pause_after_failures, v.expect_success_every,
    coalesce(clock_now() + v.expect_success_every, 'infinity') AS overdue_time,
    v.expect_success_every IS DISTINCT FROM previous.expect_success_every AS changed
  FROM task AS t
  JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  LEFT JOIN task_version AS previous ON previous.task = t.uid AND previous.version = t.version - 1
  WHERE t.uid = :task
), dropped AS (
  DELETE FROM task_health AS h
  USING current
  WHERE h.task = current.uid AND current.pause_after_failures IS NULL AND current.expect_success_every IS NULL
)
INSERT INTO task_health AS h (task, overdue_time)
SELECT uid, overdue_time
FROM current
WHERE pause_after_failures IS NOT NULL OR expect_success_every IS NOT NULL
ON CONFLICT (task) DO UPDATE
SET
  overdue_time = CASE
    WHEN :reset::boolean OR (SELECT changed FROM current) THEN excluded.overdue_time ELSE h.overdue_time END,
  failures = CASE WHEN :reset THEN 0 ELSE h.failures END;

-- query lock: The health of those tasks that are monitored, locked with their tasks.
SELECT h.task, h.failures, v.pause_after_failures, t.state
FROM task AS t
JOIN task_health AS h ON h.task = t.uid
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.uid = ANY(:tasks::uuid[]) AND t.delete_time IS NULL
ORDER BY t.uid
FOR UPDATE OF t, h;

-- query record: Stores counts after runs ended; a success moves the time at which the task becomes overdue.
UPDATE task_health AS h
SET
  failures = e.failures,
  overdue_time = CASE
    WHEN e.success_time IS NULL THEN h.overdue_time
    ELSE coalesce(e.success_time + v.expect_success_every, 'infinity') END
FROM unnest(:tasks::uuid[], :failures::int[], :success_times::timestamptz[]) AS e (task, failures, success_time)
JOIN task AS t ON t.uid = e.task
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE h.task = e.task;

-- query take_overdue: Tasks that have not succeeded for too long, each lapse once: the columns of OverdueTask, in
-- order. A success that the matcher has not processed yet counts, so `run` is read as well. The matcher stores its end
-- time to the microsecond; the millisecond keeps the success that set `overdue_time` from counting twice.
WITH due AS MATERIALIZED (
  SELECT h.task FROM task_health AS h
  WHERE h.overdue_time <= clock_now()
  ORDER BY h.overdue_time
  LIMIT :batch
  FOR UPDATE SKIP LOCKED
)
UPDATE task_health AS h
SET overdue_time = 'infinity'
FROM due
JOIN task AS t ON t.uid = due.task
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE h.task = due.task
  AND NOT EXISTS (
    SELECT FROM run AS r
    WHERE r.task = due.task AND r.state = 'SUCCEEDED'
      AND r.id >= first_id(h.overdue_time - v.expect_success_every)
      AND r.end_time > h.overdue_time - v.expect_success_every + interval '1 millisecond')
RETURNING h.task, t.project, t.name,
  t.state = 'ACTIVE' AND t.delete_time IS NULL AND v.expect_success_every IS NOT NULL AS expected,
  extract(epoch FROM v.expect_success_every)::float8 AS seconds;
