-- query oldest: The oldest range that no other scheduler has locked.
SELECT id, task FROM unsettled_range ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- query read: The columns of UnsettledRange, in its order. Instants with a row in the ledger are settled already.
SELECT
  a.id, a.task, t.project, a.task_version, a.generation, a.after_time, a.until_time, a.paused,
  v.schedule::text AS schedule, clock_now() AS now,
  CASE
    WHEN t.delete_time IS NOT NULL THEN 'deleted'
    WHEN t.state <> 'ACTIVE' THEN lower(t.state)
  END AS obstacle,
  ARRAY(SELECT o.instant FROM occurrence AS o
    WHERE o.task = a.task AND o.instant > a.after_time AND o.instant <= a.until_time) AS skipped
FROM unsettled_range AS a
JOIN task AS t ON t.uid = a.task
JOIN task_version AS v ON v.task = a.task AND v.version = a.task_version
WHERE a.id = :id;

-- query move: The range is settled up to here.
UPDATE unsettled_range SET after_time = :after_time WHERE id = :id;

-- query settle: The whole range is settled.
DELETE FROM unsettled_range WHERE id = :id;

-- query fire: Queues the run of one instant of a range, with the task version of that time.
WITH due AS MATERIALIZED (
  SELECT
    :task::uuid AS task, :instant::timestamptz AS next_instant, :fire_time::timestamptz AS next_fire_time,
    :key::text AS next_key, :trigger::text AS next_trigger, :params::jsonb AS next_params,
    :interval_end::timestamptz AS interval_end, :always_buffer::boolean AS always_buffer, clock_now() AS now
), fresh AS (
  SELECT
-- include cursor.due_run
  FROM due
  JOIN task AS t ON t.uid = due.task
  JOIN task_version AS v ON v.task = t.uid AND v.version = :task_version
  WHERE
-- include cursor.unrecorded
),
-- include due_work_enqueue.enqueue
SELECT (SELECT count(*) FROM queued) AS queued, (SELECT count(*) FROM blocked) AS buffered;

-- query contains: Whether an instant of a task lies in a range that is not settled yet.
SELECT EXISTS (SELECT FROM unsettled_range WHERE task = :task AND after_time < :instant AND until_time >= :instant);
