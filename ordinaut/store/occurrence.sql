-- fragment columns: What a row of the ledger is read as.
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

-- query collapsed: The rows that stand for several instants around a stretch, each with the schedule that these are of
-- and with the instants inside that have rows of their own. A row's key begins with the generation of its schedule,
-- which rises with each version whose schedule differs in more than how it is caught up.
SELECT o.key, o.instant, o.last_instant, o.outcome, v.schedule::text AS schedule,
  ARRAY(
    SELECT x.instant FROM occurrence AS x
    WHERE x.task = o.task AND x.instant > o.instant AND x.instant <= o.last_instant) AS apart
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

-- query split: A collapsed row shrinks to its first part; the other parts become rows like it.
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
