-- query give_turns: In tasks without an exclusive run, the run that waits longest for its turn gets it. Then: how many
-- did, in how many tasks runs wait, and whether one of these wants others cancelled before its turn.
WITH RECURSIVE line (task) AS (
  (SELECT b.task FROM due_work AS b WHERE b.state = 'BLOCKED' ORDER BY b.task LIMIT 1)
  UNION ALL
  SELECT (SELECT b.task FROM due_work AS b WHERE b.state = 'BLOCKED' AND b.task > line.task ORDER BY b.task LIMIT 1)
  FROM line
  WHERE line.task IS NOT NULL
), first AS MATERIALIZED (
  SELECT head.id
  FROM line
  CROSS JOIN LATERAL (
    SELECT b.id, b.ready_time FROM due_work AS b
    WHERE b.task = line.task AND b.state = 'BLOCKED'
    ORDER BY b.ready_time, b.id
    LIMIT 1
  ) AS head
  WHERE NOT EXISTS (SELECT FROM due_work AS d WHERE d.task = line.task AND d.exclusive)
    AND NOT EXISTS (
      SELECT FROM due_work AS s
      WHERE s.task = line.task AND s.state = 'BLOCKED' AND s.supersedes
        AND (s.ready_time, s.id) > (head.ready_time, head.id))
), turn AS MATERIALIZED (
  -- Another scheduler may be giving the same turns: none is given to the next in line because the first is locked.
  SELECT b.id FROM first JOIN due_work AS b ON b.id = first.id
  WHERE b.state = 'BLOCKED'
  ORDER BY b.id
  LIMIT :batch
  FOR UPDATE OF b SKIP LOCKED
), given AS (
  UPDATE due_work AS d SET state = 'READY', exclusive = true, ready_time = clock_now()
  FROM turn
  WHERE d.id = turn.id
  RETURNING d.id
)
SELECT
  (SELECT count(*) FROM given) AS given, (SELECT count(task) FROM line) AS lines,
  EXISTS (SELECT FROM due_work AS s WHERE s.state = 'BLOCKED' AND s.supersedes) AS superseding;

-- query overtaken: The live run and whoever waits before the newest run that supersedes them, in id order.
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
