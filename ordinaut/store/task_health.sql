-- query put: Keeps an eye on a task whose present version asks for it. What is counted goes on unless it begins anew.
WITH now AS (
  SELECT
    t.uid, v.pause_after_failures, v.expect_success_every,
    coalesce(clock_now() + v.expect_success_every, 'infinity') AS overdue_time,
    v.expect_success_every IS DISTINCT FROM before.expect_success_every AS other_rule
  FROM task AS t
  JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
  LEFT JOIN task_version AS before ON before.task = t.uid AND before.version = t.version - 1
  WHERE t.uid = :task
), dropped AS (
  DELETE FROM task_health AS h
  USING now
  WHERE h.task = now.uid AND now.pause_after_failures IS NULL AND now.expect_success_every IS NULL
)
INSERT INTO task_health AS h (task, overdue_time)
SELECT uid, overdue_time
FROM now
WHERE pause_after_failures IS NOT NULL OR expect_success_every IS NOT NULL
ON CONFLICT (task) DO UPDATE
SET
  overdue_time = CASE
    WHEN :anew::boolean OR (SELECT other_rule FROM now) THEN excluded.overdue_time ELSE h.overdue_time END,
  failures = CASE WHEN :anew THEN 0 ELSE h.failures END;

-- query lock: How the tasks among these fare that somebody keeps an eye on, locked with their tasks.
SELECT h.task, h.failures, v.pause_after_failures, t.state
FROM task AS t
JOIN task_health AS h ON h.task = t.uid
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.uid = ANY(:tasks::uuid[]) AND t.delete_time IS NULL
ORDER BY t.uid
FOR UPDATE OF t, h;

-- query record: What the ends of their runs came to; a success puts off the moment of being overdue.
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

-- query tell_overdue: Tasks that have not succeeded for too long, each once; `expected` where it still is of interest.
-- A success that the matcher has not seen yet counts. Its moment and the matcher's agree to the microsecond.
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
