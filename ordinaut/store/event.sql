-- query claim_ids: Accepts each id of a publisher once; returns for each what its first event is: the columns of
-- ClaimedId, in its order. In sorted order, so that concurrent publishers wait for each other instead of deadlocking.
INSERT INTO event AS e (project, publisher, source, id, uid, hash, create_time)
SELECT :project, k.publisher, k.source, k.id, k.uid, k.hash, clock.now
FROM unnest(:publishers::text[], :sources::text[], :ids::text[], :uids::uuid[], :hashes::bytea[])
  AS k (publisher, source, id, uid, hash)
CROSS JOIN (SELECT clock_now() AS now) AS clock
ORDER BY k.publisher, k.source, k.id
ON CONFLICT (project, publisher, source, id) DO UPDATE SET uid = e.uid
RETURNING publisher, source, id, uid, hash, create_time;

-- query append: One or more events of a project, as one row of the log.
INSERT INTO outbox (project, events, count, create_time)
VALUES (:project, :events::json, json_array_length(:events::json), coalesce(:time::timestamptz, clock_now()))
RETURNING create_time;

-- query lock_counter: The last position, locked: one process numbers at a time.
SELECT value FROM position WHERE name = 'events' FOR UPDATE;

-- query number: Gives committed rows their positions, from one counter.
-- Ids come from a sequence and are taken before the commit, so a row with a lower id may become visible after one with
-- a higher id; a reader that remembers the highest id it has read would miss it for ever. Positions are given
-- afterwards, to committed rows only and by one process at a time (the counter's row lock). Hence they have no gap, and
-- a row that is visible later always has a higher position.
WITH fresh AS (
  SELECT id, count FROM outbox WHERE position IS NULL ORDER BY id LIMIT :batch
), placed AS (
  SELECT id, count, :last + sum(count) OVER (ORDER BY id) - count + 1 AS first FROM fresh
), numbered AS (
  UPDATE outbox AS o SET position = placed.first FROM placed WHERE o.id = placed.id RETURNING o.count
), counted AS (
  SELECT count(*) AS rows, coalesce(sum(count), 0) AS events FROM numbered
), moved AS (
  UPDATE position SET value = value + counted.events FROM counted WHERE name = 'events' AND counted.events > 0
)
SELECT rows FROM counted;

-- query unsent: Numbered rows that the stream may not have, by position: the columns of LogEntry, and the age in
-- seconds.
SELECT
  id, project, position, count, events::text AS events, create_time,
  extract(epoch FROM clock_now() - create_time)::float8 AS age
FROM outbox
WHERE position IS NOT NULL AND NOT sent
ORDER BY position
LIMIT :batch;

-- query mark_sent: Marks rows as present in the stream, except those that another relay is marking at the same time.
WITH unmarked AS MATERIALIZED (
  SELECT id FROM outbox WHERE id = ANY(:ids::bigint[]) AND NOT sent ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET sent = true FROM unmarked WHERE o.id = unmarked.id;

-- query read: The log after a position, of one project or of all: the columns of LogEntry, in its order.
SELECT id, project, position, count, events::text AS events, create_time
FROM outbox
WHERE position IS NOT NULL AND position + count - 1 > :after AND position > :after - 1000
  AND (:project::text IS NULL OR project = :project)
ORDER BY position
LIMIT :batch;

-- query transactions: The transactions that published some rows.
SELECT id, xid FROM outbox WHERE id = ANY(:ids::bigint[]);

-- query last_position: The last numbered event.
SELECT value FROM position WHERE name = 'events';

-- query has_unmatched: Whether events were numbered that the matcher has not matched.
SELECT EXISTS (
  SELECT FROM position AS numbered JOIN position AS matched ON matched.name = 'matcher'
  WHERE numbered.name = 'events' AND numbered.value > matched.value);

-- query positions: The first and the last position of a project in the log, 0 when it has none.
SELECT
  coalesce((SELECT min(position) FROM outbox WHERE project = :project AND position IS NOT NULL), 0) AS first,
  coalesce((SELECT position + count - 1 FROM outbox WHERE project = :project AND position IS NOT NULL
    ORDER BY position DESC LIMIT 1), 0) AS last;

-- query lock_matcher: The position up to which events are matched; one process matches at a time.
SELECT value FROM position WHERE name = 'matcher' FOR UPDATE SKIP LOCKED;

-- query wait_for_matcher: The same; waits until a process that is matching has committed.
SELECT value FROM position WHERE name = 'matcher' FOR UPDATE;

-- query position_before: A position before every event that a project published since a time; 0: the log begins after
-- it. An event is numbered after its commit, so its position may be late by the length of a transaction: at most five
-- minutes.
SELECT coalesce((
  SELECT position FROM outbox
  WHERE project = :project AND position IS NOT NULL AND create_time < :time::timestamptz - interval '5 minutes'
  ORDER BY position DESC
  LIMIT 1), 0);

-- query move_matcher: Stores that events up to here are matched.
UPDATE position SET value = :position WHERE name = 'matcher';

-- query triggers: The enabled event triggers of active tasks in some projects, for events after a position: the columns
-- of EventTrigger, in its order.
SELECT
  e.id, e.project, e.task, e.trigger, e.topic, e.condition, e.params::text AS params, e.effective_position,
  e.until_position, e.exhaustions
FROM event_trigger AS e
JOIN task AS t ON t.uid = e.task
WHERE e.project = ANY(:projects::text[]) AND t.state = 'ACTIVE' AND t.delete_time IS NULL AND NOT e.denied
  AND e.judged_position IS NULL AND (e.until_position IS NULL OR e.until_position > :after);

-- query owned_triggers: The event triggers of an agent's tasks, with the scopes that their versions were saved with.
SELECT e.task, e.trigger, e.topic, e.denied, v.scopes
FROM task AS t
JOIN event_trigger AS e ON e.task = t.uid
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.project = :project AND t.owner = :owner AND t.delete_time IS NULL AND e.until_position IS NULL;

-- query set_denied: Which triggers may not read their topics.
UPDATE event_trigger AS e SET denied = d.denied
FROM unnest(:tasks::uuid[], :triggers::text[], :denied::boolean[]) AS d (task, trigger, denied)
WHERE e.task = d.task AND e.trigger = d.trigger;
