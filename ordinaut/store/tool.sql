-- fragment columns: The columns of a tool.
SELECT project, name, owner, definition::text AS definition, revision, create_time, update_time FROM tool

-- query create: A new tool of a project; no row when the name is taken.
INSERT INTO tool (project, name, owner, definition, revision, create_time, update_time)
SELECT :project, :name, :owner, :definition::jsonb, 1, now, now
FROM (SELECT clock_now() AS now) AS clock
ON CONFLICT DO NOTHING
RETURNING project, name, owner, definition::text AS definition, revision, create_time, update_time;

-- query get: A tool of the project or of the system.
-- include columns
WHERE project IN (:project, '_') AND name = :name
ORDER BY project = '_'
LIMIT 1;

-- query list: A page of the project's and the system's tools.
-- include columns
WHERE project IN (:project, '_')
-- filter
-- order
LIMIT :size;

-- query update: Stores a changed definition if the revision is still the current one.
UPDATE tool SET definition = :definition::jsonb, revision = revision + 1, update_time = clock_now()
WHERE project = :project AND name = :name AND revision = :revision
RETURNING project, name, owner, definition::text AS definition, revision, create_time, update_time;

-- query delete: Deletes a tool if the revision is still the current one.
DELETE FROM tool WHERE project = :project AND name = :name AND revision = :revision RETURNING name;

-- query users: The current versions of tasks, and the tools, that use a tool: the columns of ToolUser, in its order.
SELECT 'tasks' AS collection, coalesce(t.name, t.uid::text) AS name, t.owner
FROM task AS t
JOIN task_version AS v ON v.task = t.uid AND v.version = t.version
WHERE t.project = :project AND t.delete_time IS NULL AND t.state <> 'COMPLETED' AND v.tools @> ARRAY[:name::text]
UNION ALL
SELECT 'tools', o.name, ''
FROM tool AS o
WHERE o.project = :project AND o.definition #>> '{lookup,uses}' = :name
ORDER BY 1, 2;

-- query touch_project: Makes workers reload the project's tools.
UPDATE project SET revision = revision + 1 WHERE name = :project;

-- query named: The data to validate a pipeline with: definitions of some tools and of their lookups, all tool names, and
-- the time.
SELECT
  clock_now() AS now,
  (SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM tool WHERE project IN (:project, '_')) AS every_name,
  (
    SELECT coalesce(array_agg(definition::text ORDER BY name), '{}')
    FROM tool
    WHERE project IN (:project, '_') AND name = ANY(:names::text[] || ARRAY(
      SELECT definition #>> '{lookup,uses}' FROM tool WHERE project = :project AND name = ANY(:names)))
  ) AS definitions;

-- query missing: Names that belong neither to a tool of the project nor to one of the system.
SELECT n.name FROM unnest(:names::text[]) AS n (name)
WHERE NOT EXISTS (SELECT FROM tool AS t WHERE t.project IN (:project, '_') AND t.name = n.name)
ORDER BY n.name;
