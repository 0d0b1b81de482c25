-- fragment columns: The columns of OccurrenceRecord.
SELECT
  o.key AS name, coalesce(o.instant, o.create_time) AS time, o.trigger, o.instant, o.last_instant, o.count, o.outcome,
  o.reason, o.run, backfill_of(o.run) AS backfill, o.create_time
FROM occurrence AS o

-- query list: A page of a task's ledger.
-- include columns
WHERE o.task = :task
-- filter
-- order
LIMIT :size;

-- query skip: Inserts the row that prevents a future instant from firing.
INSERT INTO occurrence (project, task, key, trigger, instant, outcome, reason, create_time)
SELECT t.project, t.uid, c.generation || '/' || :nominal::text, :trigger, :instant, 'SKIPPED', :reason, clock_now()
FROM task AS t
JOIN schedule_cursor AS c ON c.task = t.uid
WHERE t.uid = :task AND :instant::timestamptz > clock_now()
ON CONFLICT DO NOTHING;

-- query at: The row of one instant.
-- include columns
WHERE o.task = :task AND o.instant = :instant;

-- query skipped_ahead: Future instants that were skipped.
SELECT o.instant FROM occurrence AS o
WHERE o.task = :task AND o.instant > clock_now() AND o.outcome = 'SKIPPED'
ORDER BY o.instant;

-- query skipped_within: Skipped instants in a time range.
SELECT o.instant FROM occurrence AS o
WHERE o.task = :task AND o.instant >= :start AND o.instant < :end AND o.outcome = 'SKIPPED'
ORDER BY o.instant
LIMIT :limit;

-- query merged: The merged rows that overlap a time range: the columns of MergedRow, in its order.
-- A row's key begins with the generation of its schedule, which is not stored with the task's versions. It rises with
-- each version whose schedule differs in more than `catch_up`, so the subquery numbers the versions by counting those
-- changes.
SELECT o.key, o.instant, o.last_instant, o.outcome, v.schedule::text AS schedule,
  ARRAY(
    SELECT x.instant FROM occurrence AS x
    WHERE x.task = o.task AND x.instant > o.instant AND x.instant <= o.last_instant) AS separate
FROM occurrence AS o
CROSS JOIN LATERAL (
  SELECT n.schedule
  FROM (
    SELECT d.schedule, count(*) FILTER (WHERE d.differs) OVER (ORDER BY d.version) AS generation
    FROM (
      SELECT w.version, w.schedule,
        w.schedule - 'catch_up' IS DISTINCT FROM lag(w.schedule - 'catch_up') OVER (ORDER BY w.version) AS differs
      FROM task_version AS w
      WHERE w.task = o.task
    ) AS d
  ) AS n
  WHERE n.generation = split_part(o.key, '/', 1)::bigint
  LIMIT 1
) AS v
WHERE o.task = :task AND o.count > 1 AND o.instant <= :last::timestamptz AND o.last_instant >= :first::timestamptz
  AND o.instant >= coalesce(
    (SELECT max(x.instant) FROM occurrence AS x WHERE x.task = :task AND x.count > 1 AND x.instant <= :first), :first);

-- query split: Shrinks a merged row to its first part, and inserts the other parts with the same outcome and reason.
WITH whole AS (
  UPDATE occurrence SET last_instant = :first_end, count = :first_count
  WHERE task = :task AND key = :key
  RETURNING project, task, outcome, reason, create_time
)
INSERT INTO occurrence (project, task, key, trigger, instant, last_instant, count, outcome, reason, create_time)
SELECT w.project, w.task, p.key, p.trigger, p.instant, p.last_instant, p.count, w.outcome, w.reason, w.create_time
FROM whole AS w, unnest(:keys::text[], :triggers::text[], :instants::timestamptz[], :last_instants::timestamptz[],
  :counts::int[]) AS p (key, trigger, instant, last_instant, count)
ON CONFLICT DO NOTHING;

-- query covering: The last row that begins at or before an instant.
-- include columns
WHERE o.task = :task AND o.instant <= :instant
ORDER BY o.instant DESC
LIMIT 1;

-- query following: The first row after an instant.
-- include columns
WHERE o.task = :task AND o.instant > :instant
ORDER BY o.instant
LIMIT 1;

-- query newest: The newest row of any kind up to a time.
-- include columns
WHERE o.task = :task AND coalesce(o.instant, o.create_time) <= :time
ORDER BY coalesce(o.instant, o.create_time) DESC, o.key DESC
LIMIT 1;

-- query of_run: The row of a live run.
-- include columns
WHERE o.task = :task AND o.key = (SELECT d.occurrence FROM due_work AS d WHERE d.id = :run) AND o.run = :run;
