-- fragment columns: What a task is read as, with its present version.
SELECT
  t.uid, t.project, t.name, t.owner, t.display_name, t.description, t.labels::text AS labels, t.state, t.state_reason,
  t.version, t.revision, t.create_time, t.update_time, v.pipeline::text AS pipeline, v.schedule::text AS schedule,
  v.run_policy::text AS run_policy, v.params::text AS params, v.params_schema::text AS params_schema
FROM task AS t
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version

-- query create: A new task, named by its own uid where no name is given; nothing when the name is taken.
INSERT INTO task (
  uid, project, name, owner, display_name, description, labels, state, version, revision, create_time, update_time)
SELECT
  fresh.uid, :project, coalesce(:name::text, fresh.uid::text), :owner, :display_name, :description, :labels::jsonb,
  'ACTIVE', 1, 1, fresh.now, fresh.now
FROM (SELECT new_id() AS uid, clock_now() AS now) AS fresh
ON CONFLICT (project, name) WHERE delete_time IS NULL DO NOTHING
RETURNING uid;

-- query create_version: A version of a task's definition.
INSERT INTO task_version (
  task, version, pipeline, tools, schedule, run_policy, params, params_schema, overlap, max_buffer, ignore_waiting,
  priority, max_losses, run_timeout, start_deadline, pause_after_failures, expect_success_every, create_time)
SELECT
  t.uid, t.version, :pipeline::jsonb, :tools::text[], :schedule::jsonb, :run_policy::jsonb, :params::jsonb,
  :params_schema::jsonb, :overlap::text, :max_buffer::int, :ignore_waiting::boolean, :priority::smallint,
  :max_losses::smallint, :run_timeout::interval, :start_deadline::interval, :pause_after_failures::smallint, :expect_success_every::interval, clock_now()
FROM task AS t
WHERE t.uid = :task;

-- query get: A task by name; of one owner, or of any when the owner is NULL.
-- include columns
WHERE t.project = :project AND t.name = :name AND t.delete_time IS NULL
  AND (:owner::text IS NULL OR t.owner = :owner);

-- query lock: The same, locked before a change.
-- include columns
WHERE t.project = :project AND t.name = :name AND t.delete_time IS NULL
  AND (:owner::text IS NULL OR t.owner = :owner)
FOR UPDATE OF t;

-- query get_by_uid: A task that this transaction has just written.
-- include columns
WHERE t.uid = :task;

-- query list: A page of tasks.
-- include columns
WHERE t.project = :project AND t.delete_time IS NULL AND (:owner::text IS NULL OR t.owner = :owner)
-- filter
-- order
LIMIT :size;

-- query to_run: What RunTask needs of a task, the id of the run to be, and how many live runs there are, counted up to
-- a limit.
SELECT
  t.uid, t.owner, new_id() AS run, v.params::text AS params, v.params_schema::text AS params_schema,
  (SELECT count(*) FROM (SELECT FROM due_work AS d WHERE d.task = t.uid LIMIT :count_to) AS live) AS live_runs
FROM task AS t
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.project = :project AND t.name = :name AND t.delete_time IS NULL
  AND (:owner::text IS NULL OR t.owner = :owner);

-- query find_uid: The uid behind a name.
SELECT uid
FROM task
WHERE project = :project AND name = :name AND delete_time IS NULL AND (:owner::text IS NULL OR owner = :owner);

-- query known_names: Those of some names that tasks have.
SELECT name FROM task
WHERE project = :project AND name = ANY(:names::text[]) AND delete_time IS NULL
  AND (:owner::text IS NULL OR owner = :owner);

-- query some_names: Names of tasks, to choose among.
SELECT name FROM task
WHERE project = :project AND delete_time IS NULL AND (:owner::text IS NULL OR owner = :owner)
ORDER BY name
LIMIT :size;

-- query update: Stores what people see of a locked task; a new version and a new life where asked.
UPDATE task
SET
  display_name = :display_name, description = :description, labels = :labels::jsonb,
  version = version + CASE WHEN :new_version::boolean THEN 1 ELSE 0 END,
  state = CASE WHEN state = 'COMPLETED' AND :revive::boolean THEN 'ACTIVE' ELSE state END,
  state_reason = CASE WHEN state = 'COMPLETED' AND :revive THEN '' ELSE state_reason END,
  revision = revision + 1, update_time = clock_now()
WHERE uid = :task;

-- query set_state: Pauses or resumes a locked task.
UPDATE task
SET state = :state, state_reason = :reason, revision = revision + 1, update_time = clock_now()
WHERE uid = :task;

-- query delete: The row stays for its history; the name is free.
UPDATE task SET delete_time = clock_now(), revision = revision + 1 WHERE uid = :task;
