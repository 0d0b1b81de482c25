-- query get: One project; not the reserved one.
SELECT name, state, create_time, delete_time FROM project WHERE name = :name AND name <> '_';

-- query list: A page of the projects.
SELECT name, state, create_time, delete_time
FROM project
WHERE name > :after AND name <> '_'
ORDER BY name
LIMIT :size;

-- query begin_removal: Marks a project as to be deleted; the time of an earlier request is kept.
UPDATE project
SET state = 'DELETING', delete_time = coalesce(delete_time, clock_now()), revision = revision + 1
WHERE name = :name AND name <> '_'
RETURNING name, state, create_time, delete_time;

-- query delete_tokens: Ends every token of a project.
DELETE FROM agent_token WHERE project = :project;
