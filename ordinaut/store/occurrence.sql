-- query list: A page of a task's ledger.
SELECT
  o.key AS name, coalesce(o.instant, o.create_time) AS time, o.trigger, o.instant, o.last_instant, o.count, o.outcome,
  o.reason, o.run, o.create_time
FROM occurrence AS o
WHERE o.task = :task
-- filter
-- order
LIMIT :size;
