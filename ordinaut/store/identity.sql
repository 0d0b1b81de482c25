-- query create_project: A new tenant; nothing when the name is taken. Its revision is higher than that of a deleted
-- project with this name, because workers keep definitions by revision.
INSERT INTO project (name, revision)
VALUES (:name, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT DO NOTHING
RETURNING name;

-- query project_exists: Whether a project exists.
SELECT EXISTS (SELECT FROM project WHERE name = :project);

-- query database_role: The role of the session.
SELECT session_user::text;

-- query create_agent: A new agent; nothing when the name is taken.
INSERT INTO agent (project, name, display_name, scopes, creator, min_priority, create_time)
VALUES (:project, :name, :display_name, :scopes, :creator::uuid, :min_priority::smallint, clock_now())
ON CONFLICT DO NOTHING
RETURNING name, uid, display_name, scopes, min_priority, create_time;

-- query get_agent: One agent.
SELECT name, uid, display_name, scopes, min_priority, create_time FROM agent WHERE project = :project AND name = :name;

-- query list_agents: A page of a project's agents.
SELECT name, uid, display_name, scopes, min_priority, create_time
FROM agent
WHERE project = :project
-- filter
-- order
LIMIT :size;

-- query scopes_of: The scopes of those agents that exist.
SELECT name, scopes FROM agent WHERE project = :project AND name = ANY(:names::text[]);

-- query some_names: Names of agents, as candidates for suggestions.
SELECT name FROM agent WHERE project = :project ORDER BY name LIMIT :size;

-- query lock_agent: The same, locked before a change.
SELECT name, uid, display_name, scopes, min_priority, create_time FROM agent WHERE project = :project AND name = :name FOR UPDATE;

-- query update_agent: Stores a changed agent.
UPDATE agent SET display_name = :display_name, scopes = :scopes, min_priority = :min_priority::smallint
WHERE project = :project AND name = :name
RETURNING name, uid, display_name, scopes, min_priority, create_time;

-- query is_creator: Whether an agent created another one, or the creator of that one, and so on.
WITH RECURSIVE creator (uid) AS (
  SELECT a.creator FROM agent AS a WHERE a.project = :project AND a.name = :name
  UNION
  SELECT a.creator FROM agent AS a JOIN creator ON a.uid = creator.uid WHERE a.project = :project
)
SELECT EXISTS (SELECT FROM creator WHERE uid = :creator::uuid);

-- query delete_tokens: Deletes all tokens of an agent.
DELETE FROM agent_token WHERE project = :project AND agent = :agent;

-- query delete_responses: An agent that is created with this name later does not get the responses to this one.
DELETE FROM request_log WHERE project = :project AND agent = :agent;

-- query delete_agent: Deletes an agent without tokens.
WITH reserved AS (INSERT INTO deleted_agent (project, name) VALUES (:project, :name) ON CONFLICT DO NOTHING)
DELETE FROM agent WHERE project = :project AND name = :name;

-- query is_reserved: Whether rows refer to a deleted agent of this name, which owned no task. History is searched for
-- deleted names only.
SELECT EXISTS (SELECT FROM deleted_agent WHERE project = :project AND name = :name) AND (
  EXISTS (SELECT FROM tool WHERE project = :project AND owner = 'agents/' || :name::text)
  OR EXISTS (SELECT FROM due_work WHERE project = :project AND owner = 'agents/' || :name::text)
  OR EXISTS (SELECT FROM run WHERE project = :project AND owner = 'agents/' || :name::text)
  OR EXISTS (SELECT FROM approval WHERE project = :project
    AND (owner = 'agents/' || :name::text OR 'agents/' || :name::text = ANY(assignees)))
  OR EXISTS (SELECT FROM event WHERE project = :project AND publisher = 'agents/' || :name::text));

-- query owned_tasks: The number of tasks that an agent owns.
SELECT count(*) FROM task WHERE project = :project AND owner = 'agents/' || :name::text AND delete_time IS NULL;

-- query touch_project: Makes workers reload the rights of the project's agents.
UPDATE project SET revision = revision + 1 WHERE name = :project;

-- query list_tokens: A page of an agent's tokens.
SELECT public_id, scopes, create_time, expire_time, revoke_time, issuer, last_use_time
FROM agent_token
WHERE project = :project AND agent = :agent AND public_id > :after
ORDER BY public_id
LIMIT :size;

-- query agent_scopes: The scopes of an agent.
SELECT scopes FROM agent WHERE project = :project AND name = :name;

-- query min_priority: The most urgent priority that an agent may use.
SELECT min_priority FROM agent WHERE project = :project AND name = :name;

-- query create_token: A new token; nothing when it would have expired already.
INSERT INTO agent_token (public_id, project, agent, secret_hash, scopes, issuer, issuers, admin_issuers, create_time, expire_time)
SELECT
  :public_id, :project, :agent, :secret_hash, :scopes, :issuer, :issuers::text[], :admin_issuers::text[], clock_now(),
  :expire_time
WHERE :expire_time::timestamptz IS NULL OR :expire_time > clock_now()
RETURNING public_id, scopes, create_time, expire_time, revoke_time, issuer, last_use_time;

-- query lock_token: A token with what it descends from, locked before a change.
SELECT
  public_id, scopes, create_time, expire_time, revoke_time, issuer, last_use_time, issuers, admin_issuers,
  revoke_time IS NULL AND coalesce(expire_time > clock_now(), true) AS valid
FROM agent_token
WHERE project = :project AND agent = :agent AND public_id = :public_id
FOR UPDATE;

-- query expire_token: Makes a token expire soon.
UPDATE agent_token SET expire_time = least(expire_time, clock_now() + :overlap::interval) WHERE public_id = :public_id;

-- query revoke_token: Revokes a token; the time of an earlier revocation is kept.
UPDATE agent_token SET revoke_time = coalesce(revoke_time, clock_now())
WHERE project = :project AND agent = :agent AND public_id = :public_id;

-- query token: The data that a presented token is checked against; no row if it is expired or revoked.
SELECT
  t.project, t.agent, t.secret_hash, t.scopes AS token_scopes, a.scopes AS agent_scopes, a.uid AS agent_uid,
  t.issuers, t.admin_issuers, t.create_time, t.expire_time, a.min_priority,
  extract(epoch FROM t.expire_time - clock_now())::float8 AS seconds_left
FROM agent_token AS t
JOIN agent AS a ON a.project = t.project AND a.name = t.agent
JOIN project AS p ON p.name = t.project AND p.state = 'ACTIVE'
WHERE t.public_id = :public_id AND t.revoke_time IS NULL
  AND (t.expire_time IS NULL OR t.expire_time > clock_now());

-- query note_uses: The time of use of some tokens, at most once a minute; rows locked by another gateway are skipped.
WITH used AS (
  SELECT t.public_id, clock.now
  FROM agent_token AS t
  CROSS JOIN (SELECT clock_now() AS now) AS clock
  WHERE t.public_id = ANY(:public_ids::text[])
    AND (t.last_use_time IS NULL OR t.last_use_time <= clock.now - interval '1 minute')
  FOR UPDATE OF t SKIP LOCKED
)
UPDATE agent_token AS t SET last_use_time = used.now FROM used WHERE t.public_id = used.public_id;

-- query page_token_key: The key that this installation signs page tokens with.
SELECT page_token_key FROM installation;
