-- query release_blocked: In tasks without an exclusive run, makes the oldest buffered run exclusive and READY; returns
-- the columns of Released. A task with a buffered run that supersedes older ones is left until those are
-- cancelled. The recursive part skips from task to task through the index on BLOCKED rows, so that a task with a
-- thousand buffered runs costs one index lookup and not a thousand.
WITH RECURSIVE blocked (task) AS (
  (SELECT b.task FROM due_work AS b WHERE b.state = 'BLOCKED' ORDER BY b.task LIMIT 1)
  UNION ALL
  SELECT (SELECT b.task FROM due_work AS b WHERE b.state = 'BLOCKED' AND b.task > blocked.task ORDER BY b.task LIMIT 1)
  FROM blocked
  WHERE blocked.task IS NOT NULL
), first AS MATERIALIZED (
  SELECT head.id
  FROM blocked
  CROSS JOIN LATERAL (
    SELECT b.id, b.ready_time FROM due_work AS b
    WHERE b.task = blocked.task AND b.state = 'BLOCKED'
    ORDER BY b.ready_time, b.id
    LIMIT 1
  ) AS head
  WHERE NOT EXISTS (SELECT FROM due_work AS d WHERE d.task = blocked.task AND d.exclusive)
    AND NOT EXISTS (
      SELECT FROM due_work AS s
      WHERE s.task = blocked.task AND s.state = 'BLOCKED' AND s.supersedes
        AND (s.ready_time, s.id) > (head.ready_time, head.id))
), slot AS MATERIALIZED (
  -- Only the oldest run of a task may be released. Where another scheduler has it locked, the task is skipped:
  -- releasing the second one instead would break the FIFO order.
  SELECT b.id FROM first JOIN due_work AS b ON b.id = first.id
  WHERE b.state = 'BLOCKED'
  ORDER BY b.id
  LIMIT :batch
  FOR UPDATE OF b SKIP LOCKED
), released AS (
  UPDATE due_work AS d SET state = 'READY', exclusive = true, ready_time = clock_now()
  FROM slot
  WHERE d.id = slot.id
  RETURNING d.id
)
SELECT
  (SELECT count(*) FROM released) AS runs, (SELECT count(task) FROM blocked) AS tasks,
  EXISTS (SELECT FROM due_work AS s WHERE s.state = 'BLOCKED' AND s.supersedes) AS superseding;

-- query superseded: The live run and the buffered runs older than the newest one that supersedes them, in id order.
WITH newest AS (
  SELECT DISTINCT ON (s.task) s.task, s.id, s.ready_time
  FROM due_work AS s
  WHERE s.state = 'BLOCKED' AND s.supersedes
  ORDER BY s.task, s.ready_time DESC, s.id DESC
)
SELECT d.id AS run, newest.id AS by
FROM newest
JOIN due_work AS d ON d.task = newest.task
WHERE NOT d.cancel_requested
  AND (d.exclusive OR d.state = 'BLOCKED' AND (d.ready_time, d.id) < (newest.ready_time, newest.id))
ORDER BY d.id
LIMIT :batch;
