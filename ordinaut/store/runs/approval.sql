-- fragment announce: Events `verb` for changed approvals; a row of the log contains at most a thousand.
announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT (changed_row).project, json_agg(approval_event(changed_row, verb)), count(*), clock_now()
  FROM (SELECT changed_row, verb, (row_number() OVER (PARTITION BY (changed_row).project) - 1) / 1000 AS part FROM changed) AS numbered
  GROUP BY (changed_row).project, part
)

-- query request: Approvals for new waits of locked runs.
WITH changed AS (
  INSERT INTO approval AS a (
    id, project, run, step, task, task_name, owner, depth, tool, hash, message, data, choices, answer_schema, editable,
    assignees, allow_self, expire_time, state, create_time)
  SELECT
    new_id(), w.project, w.run, w.path, d.task, d.task_name, d.owner, d.depth, q.tool, q.hash,
    w.input ->> 'message', w.input -> 'data',
    CASE WHEN w.input ? 'choices' THEN ARRAY(SELECT jsonb_array_elements_text(w.input -> 'choices'))
      ELSE ARRAY['approve', 'reject'] END,
    w.input -> 'answer_schema',
    ARRAY(SELECT jsonb_array_elements_text(w.input -> 'editable')),
    ARRAY(SELECT 'agents/' || regexp_replace(name, '^agents/', '')
      FROM jsonb_array_elements_text(w.input -> 'assignees') AS name),
    coalesce((w.input -> 'allow_self')::boolean, false), w.deadline, 'PENDING', w.create_time
  FROM unnest(:runs::uuid[], :steps::text[], :tools::text[], :hashes::text[]) AS q (run, step, tool, hash)
  JOIN wait AS w ON w.run = q.run AND w.path = q.step AND w.kind = 'APPROVAL' AND w.resolve_time IS NULL
  JOIN due_work AS d ON d.id = q.run
  ON CONFLICT (run, step) WHERE state = 'PENDING' DO NOTHING -- requested before
  RETURNING a AS changed_row, 'requested' AS verb
),
-- include announce
SELECT (changed_row).id FROM changed;

-- query answer: Answers a pending approval of a locked run before it expires.
WITH changed AS (
  UPDATE approval AS a SET
    state = CASE WHEN :choice::text = 'reject' THEN 'REJECTED' ELSE 'APPROVED' END, choice = :choice::text, input = :input::jsonb,
    edited_input = :edited_input::jsonb, agent = :agent::text, comment = :comment::text, end_time = clock.now
  FROM (SELECT clock_now() AS now) AS clock
  WHERE a.id = :id::uuid AND a.state = 'PENDING' AND (a.expire_time IS NULL OR a.expire_time > clock.now)
  RETURNING a AS changed_row, 'answered' AS verb
),
-- include announce
SELECT (changed_row).run, (changed_row).step, (changed_row).state, (changed_row).end_time FROM changed;

-- query expire: Expires approvals of locked runs whose waits have ended without an answer.
WITH changed AS (
  UPDATE approval AS a SET state = 'EXPIRED', end_time = clock_now()
  FROM unnest(:runs::uuid[], :steps::text[]) AS w (run, step)
  WHERE a.run = w.run AND a.step = w.step AND a.state = 'PENDING'
  RETURNING a AS changed_row, 'expired' AS verb
),
-- include announce
SELECT (changed_row).id FROM changed;

-- fragment columns: The columns of an approval; JSON as text.
SELECT
  id, project, run, step, task_name, owner, tool, hash, message, data::text AS data, choices,
  answer_schema::text AS answer_schema, editable, assignees, allow_self, expire_time, state, choice,
  input::text AS input, edited_input::text AS edited_input, agent, comment, create_time, end_time
FROM approval
WHERE project = :project AND (:agent::text IS NULL OR owner = :agent OR :agent = ANY(assignees))

-- query get: One approval that the agent may see; NULL matches every approval of the project.
-- include columns
  AND id = :id;

-- query requesters: The owners of a run and of the runs that it is a child of, and when the first of these was created.
WITH RECURSIVE ancestor (id) AS (
  SELECT :run::uuid
  UNION
  SELECT c.parent FROM run_child AS c JOIN ancestor ON c.run = ancestor.id
), found AS (
  SELECT d.owner, d.create_time FROM ancestor JOIN due_work AS d ON d.id = ancestor.id
  UNION ALL
  SELECT r.owner, r.create_time FROM ancestor JOIN run AS r ON r.id = ancestor.id
)
SELECT array_agg(DISTINCT owner) AS owners, min(create_time) AS since FROM found;

-- query list: A page of approvals that the agent may see; a NULL run, assignee or states matches all.
-- include columns
  AND (:run::uuid IS NULL OR run = :run) AND (:assignee::text IS NULL OR :assignee = ANY(assignees))
  AND (:states::text[] IS NULL OR state = ANY(:states))
-- filter
-- order
LIMIT :size;
