-- query add: Conditions to evaluate: the columns of NewTodo.
INSERT INTO match_todo (project, after_position, until_position, triggers, runs, paths, event_time)
VALUES (:project, :after, :until, :triggers::bigint[], :runs::uuid[], :paths::text[], :event_time);

-- query projects: The projects with conditions to evaluate. One step through the index for each project.
WITH RECURSIVE found AS (
  (SELECT project FROM match_todo WHERE NOT held ORDER BY project LIMIT 1)
  UNION ALL
  SELECT (SELECT m.project FROM match_todo AS m WHERE NOT m.held AND m.project > f.project ORDER BY m.project LIMIT 1)
  FROM found AS f
  WHERE f.project IS NOT NULL
)
SELECT project FROM found WHERE project IS NOT NULL;

-- query lock: The oldest entries of a project that no other scheduler evaluates.
SELECT id, after_position AS after, until_position AS until, next, triggers, runs, paths
FROM match_todo
WHERE project = :project AND NOT held
ORDER BY after_position, id
LIMIT :batch
FOR UPDATE SKIP LOCKED;

-- query move: Stores up to where conditions are evaluated.
UPDATE match_todo SET after_position = :after, next = :next WHERE id = :id;

-- query remove: All conditions are evaluated on all events.
DELETE FROM match_todo WHERE id = ANY(:ids::bigint[]);

-- query triggers: Triggers by id: the columns of EventTrigger, in its order. A removed, denied or disabled one, and those
-- of a task that is not active, are left out.
SELECT
  e.id, e.project, e.task, e.trigger, e.topic, e.condition, e.params::text AS params, e.effective_position,
  e.until_position, e.exhaustions
FROM event_trigger AS e
JOIN task AS t ON t.uid = e.task
WHERE e.id = ANY(:ids::bigint[]) AND t.state = 'ACTIVE' AND t.delete_time IS NULL AND NOT e.denied
  AND e.judged_position IS NULL;

-- query paused: Those of the triggers whose tasks are paused.
SELECT e.id FROM event_trigger AS e JOIN task AS t ON t.uid = e.task
WHERE e.id = ANY(:ids::bigint[]) AND t.state = 'PAUSED' AND t.delete_time IS NULL AND NOT e.denied
  AND e.judged_position IS NULL;

-- query hold: Keeps the events of entries after a position for triggers of paused tasks.
INSERT INTO match_todo (project, after_position, until_position, triggers, runs, paths, event_time, held)
SELECT project, greatest(after_position, :after), until_position, :triggers::bigint[], '{}', '{}', event_time, true
FROM match_todo
WHERE id = ANY(:ids::bigint[]) AND until_position > :after;

-- query note_exhaustions: Stores how many evaluations in a row have used up their fuel.
UPDATE event_trigger AS e SET exhaustions = n.exhaustions
FROM unnest(:ids::bigint[], :exhaustions::smallint[]) AS n (id, exhaustions)
WHERE e.id = n.id AND e.exhaustions <> n.exhaustions;

-- query disable: Disables a trigger. Its events after the position are pending, and those before it which another entry
-- still has for it. Returns the columns of DisabledTrigger.
UPDATE event_trigger AS e SET
  disable_reason = :reason, disable_time = clock_now(),
  judged_position = least(:position::bigint, (
    SELECT min(m.after_position) FROM match_todo AS m
    WHERE m.project = e.project AND m.id <> ALL(:todos::bigint[]) AND m.triggers @> ARRAY[e.id]))
FROM task AS t
WHERE e.id = :id AND t.uid = e.task AND e.judged_position IS NULL AND e.until_position IS NULL
RETURNING e.project, e.task, t.name, e.trigger;

-- query any_rearmed: Whether triggers are to be enabled.
SELECT EXISTS (SELECT FROM event_trigger WHERE judged_position IS NOT NULL AND disable_reason = '');

-- query rearmed: Enables triggers while the matcher's position is locked: they judge the events up to it later, and the
-- matcher gives them the following ones.
WITH enabled AS (
  SELECT e.id, e.project, e.judged_position FROM event_trigger AS e
  WHERE e.judged_position IS NOT NULL AND e.disable_reason = ''
  ORDER BY e.id
  LIMIT 100
  FOR UPDATE SKIP LOCKED
), pending AS (
  INSERT INTO match_todo (project, after_position, until_position, triggers, runs, paths, event_time)
  SELECT n.project, n.judged_position, :position, ARRAY[n.id], '{}', '{}', clock_now()
  FROM enabled AS n
  WHERE n.judged_position < :position
)
UPDATE event_trigger AS e SET judged_position = NULL FROM enabled AS n WHERE e.id = n.id;

-- query drop_ended: Deletes ended rows of triggers that judge no event any more.
DELETE FROM event_trigger AS e
WHERE e.until_position IS NOT NULL
  AND e.until_position <= (SELECT value FROM position WHERE name = 'matcher')
  AND NOT EXISTS (
    SELECT FROM match_todo AS m WHERE m.project = e.project AND m.after_position < e.until_position);
