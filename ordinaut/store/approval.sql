-- fragment announce: The news of approvals, each `told` as `verb`; a row of the log holds at most a thousand.
announced AS (
  INSERT INTO outbox (project, events, count, create_time)
  SELECT (told).project, json_agg(approval_event(told, verb)), count(*), clock_now()
  FROM (SELECT told, verb, (row_number() OVER (PARTITION BY (told).project) - 1) / 1000 AS part FROM changed) AS one
  GROUP BY (told).project, part
)

-- query request: What new waits of locked runs ask, as approvals.
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
  ON CONFLICT (run, step) WHERE state = 'PENDING' DO NOTHING -- asked already
  RETURNING a AS told, 'requested' AS verb
),
-- include announce
SELECT (told).id FROM changed;

-- query answer: The first answer to a question of a locked run, in time.
WITH changed AS (
  UPDATE approval AS a SET
    state = CASE WHEN :choice::text = 'reject' THEN 'REJECTED' ELSE 'APPROVED' END, choice = :choice::text, input = :input::jsonb,
    edited_input = :edited_input::jsonb, agent = :agent::text, comment = :comment::text, end_time = clock.now
  FROM (SELECT clock_now() AS now) AS clock
  WHERE a.id = :id::uuid AND a.state = 'PENDING' AND (a.expire_time IS NULL OR a.expire_time > clock.now)
  RETURNING a AS told, 'answered' AS verb
),
-- include announce
SELECT (told).run, (told).step, (told).state, (told).end_time FROM changed;

-- query expire: Questions of locked runs whose waits are over without an answer.
WITH changed AS (
  UPDATE approval AS a SET state = 'EXPIRED', end_time = clock_now()
  FROM unnest(:runs::uuid[], :steps::text[]) AS w (run, step)
  WHERE a.run = w.run AND a.step = w.step AND a.state = 'PENDING'
  RETURNING a AS told, 'expired' AS verb
),
-- include announce
SELECT (told).id FROM changed;

-- fragment columns: An approval as callers see it; JSON as text.
SELECT
  id, project, run, step, task_name, owner, tool, hash, message, data::text AS data, choices,
  answer_schema::text AS answer_schema, editable, assignees, allow_self, expire_time, state, choice,
  input::text AS input, edited_input::text AS edited_input, agent, comment, create_time, end_time
FROM approval
WHERE project = :project AND (:agent::text IS NULL OR owner = :agent OR :agent = ANY(assignees))

-- query get: One approval, when the agent may see it; NULL sees everything in its project.
-- include columns
  AND id = :id;

-- query list: A page of what the agent may see; of one run, one assignee, some states, or of any when these are NULL.
-- include columns
  AND (:run::uuid IS NULL OR run = :run) AND (:assignee::text IS NULL OR :assignee = ANY(assignees))
  AND (:states::text[] IS NULL OR state = ANY(:states))
-- filter
-- order
LIMIT :size;
