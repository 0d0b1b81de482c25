-- query load: A version of a task with its tools, their lookups and its owner's scopes, as they are now.
SELECT
  v.pipeline::text AS pipeline,
  v.semantics,
  (v.run_policy -> 'retry')::text AS retry,
  coalesce(extract(epoch FROM (v.run_policy ->> 'deadline')::interval) * 1000, 0)::bigint AS deadline_ms,
  v.pipeline ? 'finally' AS has_finally,
  coalesce(v.run_policy ->> 'rights' = 'LIMITED_BY_STARTER', false) AS limited,
  ARRAY(
    SELECT t.definition::text FROM tool AS t
    WHERE t.project IN (:project, '_') AND t.name = ANY(v.tools || ARRAY(
      SELECT u.definition #>> '{lookup,uses}' FROM tool AS u WHERE u.project = :project AND u.name = ANY(v.tools)))
    ORDER BY t.name, t.project <> '_') AS tools,
  -- Those that send a secret, with the scopes of their owners, in pairs.
  ARRAY(
    SELECT jsonb_build_array(t.definition, coalesce(to_jsonb(a.scopes), '[]'))::text
    FROM tool AS t
    LEFT JOIN agent AS a ON a.project = t.project AND 'agents/' || a.name = t.owner
    WHERE t.project = :project AND t.definition #> '{http,auth}' IS NOT NULL AND t.name = ANY(v.tools || ARRAY(
      SELECT u.definition #>> '{lookup,uses}' FROM tool AS u WHERE u.project = :project AND u.name = ANY(v.tools)))
    ORDER BY t.name) AS senders,
  v.tools AS tool_names,
  v.scopes AS saved_scopes,
  coalesce((SELECT a.scopes FROM agent AS a WHERE a.project = :project AND 'agents/' || a.name = :owner), '{}')
    AS owner_scopes
FROM task_version AS v
WHERE v.task = :task AND v.version = :version;

-- query run_timeout: The run timeout of a version.
SELECT run_timeout FROM task_version WHERE task = :task AND version = :version;
