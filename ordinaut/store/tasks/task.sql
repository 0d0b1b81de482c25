-- fragment columns: The columns of a task with its current version.
SELECT
  t.uid, t.project, t.name, t.owner, t.display_name, t.description, t.labels::text AS labels, t.state, t.state_reason,
  t.version, t.revision, t.create_time, t.update_time, v.pipeline::text AS pipeline, v.semantics, v.scopes, v.schedule::text AS schedule,
  v.run_policy::text AS run_policy, v.params::text AS params, v.params_schema::text AS params_schema
FROM task AS t
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version

-- query create: A new task, named by its uid if the name is NULL; no row when the name is taken.
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
  task, version, pipeline, semantics, tools, scopes, schedule, run_policy, params, params_schema, overlap, max_buffer, ignore_waiting,
  priority, max_losses, run_timeout, start_deadline, pause_after_failures, expect_success_every, create_time)
SELECT
  t.uid, t.version, :pipeline::jsonb, :semantics::smallint, :tools::text[], :scopes::text[], :schedule::jsonb, :run_policy::jsonb, :params::jsonb,
  :params_schema::jsonb, :overlap::text, :max_buffer::int, :ignore_waiting::boolean, :priority::smallint,
  :max_losses::smallint, :run_timeout::interval, :start_deadline::interval, :pause_after_failures::smallint, :expect_success_every::interval, clock_now()
FROM task AS t
WHERE t.uid = :task;

-- query get: A task by name; a NULL owner matches every owner.
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

-- query to_run: The data that RunTask needs: the task, the id of the new run, and the number of live runs, up to a limit.
SELECT
  t.uid, t.owner, v.version, coalesce(v.run_policy ->> 'rights' = 'LIMITED_BY_STARTER', false) AS limited,
  new_id() AS run, v.params::text AS params, v.params_schema::text AS params_schema,
  (SELECT count(*) FROM (SELECT FROM due_work AS d WHERE d.task = t.uid LIMIT :count_to) AS live) AS live_runs
FROM task AS t
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.project = :project AND t.name = :name AND t.delete_time IS NULL
  AND (:owner::text IS NULL OR t.owner = :owner);

-- query find_uid: The uid of a task by name.
SELECT uid
FROM task
WHERE project = :project AND name = :name AND delete_time IS NULL AND (:owner::text IS NULL OR owner = :owner);

-- query known_names: Those of the names that belong to a task.
SELECT name FROM task
WHERE project = :project AND name = ANY(:names::text[]) AND delete_time IS NULL
  AND (:owner::text IS NULL OR owner = :owner);

-- query some_names: Names of tasks, as candidates for suggestions.
SELECT name FROM task
WHERE project = :project AND delete_time IS NULL AND (:owner::text IS NULL OR owner = :owner)
ORDER BY name
LIMIT :size;

-- query update: Stores the descriptive fields of a locked task; optionally counts a version and revives the task.
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

-- query delete: Marks a task as deleted; the row is kept for its history, and the name is free.
UPDATE task SET delete_time = clock_now(), revision = revision + 1 WHERE uid = :task;
