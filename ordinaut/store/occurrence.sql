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

-- query covering: The entry of a task's ledger that stands for a moment, or the last one before it.
-- include columns
WHERE o.task = :task AND o.instant <= :moment
ORDER BY o.instant DESC
LIMIT 1;

-- query following: The entry behind a moment.
-- include columns
WHERE o.task = :task AND o.instant > :moment
ORDER BY o.instant
LIMIT 1;

-- query newest: The newest entry, of whatever kind, up to a moment.
-- include columns
WHERE o.task = :task AND coalesce(o.instant, o.create_time) <= :moment
ORDER BY coalesce(o.instant, o.create_time) DESC, o.key DESC
LIMIT 1;

-- query of_run: The entry that became a run.
-- include columns
WHERE o.task = :task AND o.key = (SELECT d.occurrence FROM due_work AS d WHERE d.id = :run) AND o.run = :run;
