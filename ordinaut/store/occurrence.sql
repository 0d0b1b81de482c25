-- fragment columns: What a row of the ledger is read as.
SELECT
  o.key AS name, coalesce(o.instant, o.create_time) AS time, o.trigger, o.instant, o.last_instant, o.count, o.outcome,
  o.reason, o.run, o.create_time
FROM occurrence AS o

-- query list: A page of a task's ledger.
-- include columns
WHERE o.task = :task
-- filter
-- order
LIMIT :size;

-- query skip: The row that keeps a coming instant from being fired.
INSERT INTO occurrence (project, task, key, trigger, instant, outcome, reason, create_time)
SELECT t.project, t.uid, c.generation || '/' || :nominal::text, :trigger, :instant, 'SKIPPED', :reason, clock_now()
FROM task AS t
JOIN schedule_cursor AS c ON c.task = t.uid
WHERE t.uid = :task AND :instant::timestamptz > clock_now()
ON CONFLICT DO NOTHING;

-- query at: What became of one instant.
-- include columns
WHERE o.task = :task AND o.instant = :instant;

-- query skipped_ahead: Coming instants that were skipped.
SELECT o.instant FROM occurrence AS o
WHERE o.task = :task AND o.instant > clock_now() AND o.outcome = 'SKIPPED'
ORDER BY o.instant;

-- query skipped_within: Instants of a window that were skipped.
SELECT o.instant FROM occurrence AS o
WHERE o.task = :task AND o.instant >= :start AND o.instant < :end AND o.outcome = 'SKIPPED'
ORDER BY o.instant
LIMIT :limit;
