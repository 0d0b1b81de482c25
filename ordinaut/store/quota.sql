-- query overrides: The quotas of a project that differ from the defaults.
SELECT quota, agent_limit, project_limit FROM project_quota WHERE project = :project;

-- query put: Sets a quota of an existing project.
INSERT INTO project_quota (project, quota, agent_limit, project_limit)
SELECT name, :quota, :agent_limit::bigint, :project_limit::bigint FROM project WHERE name = :project
ON CONFLICT (project, quota) DO UPDATE
SET agent_limit = excluded.agent_limit, project_limit = excluded.project_limit
RETURNING quota;

-- query lock: Serializes transactions that count and then add, until they end.
SELECT pg_advisory_xact_lock(hashtextextended('quota ' || :project::text, 0));

-- query tasks: The tasks of an agent and of its project.
SELECT count(*) FILTER (WHERE owner = 'agents/' || :agent::text) AS of_agent, count(*) AS of_project
FROM task WHERE project = :project AND delete_time IS NULL;

-- query tools: The tools of an agent and of its project.
SELECT count(*) FILTER (WHERE owner = 'agents/' || :agent::text) AS of_agent, count(*) AS of_project
FROM tool WHERE project = :project;

-- query agents: The agents of a project.
SELECT count(*) FILTER (WHERE name = :agent) AS of_agent, count(*) AS of_project FROM agent WHERE project = :project;

-- query tokens: The valid tokens of an agent.
SELECT count(*) AS of_agent, 0::bigint AS of_project
FROM agent_token
WHERE project = :project AND agent = :agent AND revoke_time IS NULL
  AND (expire_time IS NULL OR expire_time > clock_now());

-- query counts: What an agent and its project have.
SELECT
  (SELECT count(*) FROM task WHERE project = :project AND delete_time IS NULL) AS tasks,
  (SELECT count(*) FROM task
    WHERE project = :project AND delete_time IS NULL AND owner = 'agents/' || :agent::text) AS agent_tasks,
  (SELECT count(*) FROM tool WHERE project = :project) AS tools,
  (SELECT count(*) FROM tool WHERE project = :project AND owner = 'agents/' || :agent::text) AS agent_tools,
  (SELECT count(*) FROM agent WHERE project = :project) AS agents,
  (SELECT count(*) FROM agent_token WHERE project = :project AND agent = :agent AND revoke_time IS NULL
    AND (expire_time IS NULL OR expire_time > clock_now())) AS agent_tokens;

-- query live_runs: The live runs of each owner: the columns of LiveRuns, in its order.
SELECT project, owner, count(*) AS runs, count(*) FILTER (WHERE kind = 'INLINE') AS inline
FROM due_work
GROUP BY project, owner;

-- query mark_over: Marks the owners and projects with as many live runs as their quota permits, and no others.
WITH live AS (
  SELECT
    d.project, d.owner, d.runs, coalesce(q.agent_limit, :agent_limit::bigint) AS agent_limit,
    coalesce(q.project_limit, :project_limit::bigint) AS project_limit
  FROM (SELECT project, owner, count(*) AS runs FROM due_work GROUP BY project, owner) AS d
  LEFT JOIN project_quota AS q ON q.project = d.project AND q.quota = 'live_runs'
), over AS MATERIALIZED (
  SELECT project, owner FROM live WHERE runs >= agent_limit
  UNION ALL
  SELECT project, '' FROM live GROUP BY project, project_limit HAVING sum(runs) >= project_limit
), removed AS (
  DELETE FROM over_quota AS o WHERE (o.project, o.owner) NOT IN (SELECT project, owner FROM over)
)
INSERT INTO over_quota (project, owner) SELECT project, owner FROM over ON CONFLICT DO NOTHING;

-- query stored_bytes: The size of a project's state and pipelines, as they are stored.
SELECT
  (SELECT coalesce(sum(pg_column_size(value)), 0)::bigint FROM state_entry
    WHERE project = :project AND NOT deleted) AS state,
  (SELECT coalesce(sum(pg_column_size(v.pipeline)), 0)::bigint
    FROM task AS t JOIN task_version AS v ON v.task = t.uid
    WHERE t.project = :project) AS pipelines;
