-- query claim_id: A publisher's own id is accepted once; returns the first event's uid.
INSERT INTO event AS e (project, source, id, uid)
VALUES (:project, :source, :event_id, :uid)
ON CONFLICT (project, source, id) DO UPDATE SET uid = e.uid
RETURNING uid;

-- query append: One or more events of a project, as one row of the log.
INSERT INTO outbox (project, events, count, create_time)
VALUES (:project, :events::json, json_array_length(:events::json), clock_now())
RETURNING create_time;

-- query lock_counter: The last position; one numbering at a time.
SELECT value FROM position WHERE name = 'events' FOR UPDATE;

-- query number: Gives committed rows their positions, from one counter: sequence order is not commit order.
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

-- query unsent: Numbered rows that the stream may not have, from the lowest.
SELECT
  id, project, position, count, events::text AS events, create_time,
  extract(epoch FROM clock_now() - create_time)::float8 AS age
FROM outbox
WHERE position IS NOT NULL AND NOT sent
ORDER BY position
LIMIT :batch;

-- query mark_sent: The stream has them; rows that another relay is marking at this moment are left to it.
WITH mine AS MATERIALIZED (
  SELECT id FROM outbox WHERE id = ANY(:ids::bigint[]) AND NOT sent ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET sent = true FROM mine WHERE o.id = mine.id;

-- query read: The log from a position on, of one project or of all.
SELECT id, project, position, count, events::text AS events, create_time
FROM outbox
WHERE position IS NOT NULL AND position + count - 1 > :after AND position > :after - 1000
  AND (:project::text IS NULL OR project = :project)
ORDER BY position
LIMIT :batch;

-- query following: What the rows after a position are known by, without what they hold.
SELECT id, position, create_time
FROM outbox
WHERE position > :after
ORDER BY position
LIMIT :batch;

-- query last_position: The last numbered event.
SELECT value FROM position WHERE name = 'events';

-- query first_position: The first event still in the log, 0 when it is empty.
SELECT coalesce(min(position), 0) FROM outbox WHERE position IS NOT NULL;

-- query lock_matcher: How far events are matched; one matcher at a time.
SELECT value FROM position WHERE name = 'matcher' FOR UPDATE SKIP LOCKED;

-- query wait_for_matcher: The same, after whoever is matching right now.
SELECT value FROM position WHERE name = 'matcher' FOR UPDATE;

-- query position_before: An event of a project after which every one since a moment stands; 0: the first may be one.
-- Positions are given after commits: an event may be numbered late, by no more than a transaction lasts.
SELECT coalesce((
  SELECT position FROM outbox
  WHERE project = :project AND position IS NOT NULL AND create_time < :moment::timestamptz - interval '5 minutes'
  ORDER BY position DESC
  LIMIT 1), 0);

-- query move_matcher: Events up to here are matched.
UPDATE position SET value = :position WHERE name = 'matcher';

-- query triggers: The event triggers of active tasks in some projects.
SELECT e.project, e.task, e.trigger, e.topic, e.condition, e.params::text AS params, e.effective_position
FROM event_trigger AS e
JOIN task AS t ON t.uid = e.task
WHERE e.project = ANY(:projects::text[]) AND t.state = 'ACTIVE' AND t.delete_time IS NULL;
