-- query lock: Lets one process migrate at a time; released with the transaction.
SELECT pg_advisory_xact_lock(hashtext('ordinaut.migrate'));

-- query create_version_table: The table of applied migrations.
CREATE TABLE IF NOT EXISTS schema_version (
  version int PRIMARY KEY,
  apply_time timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- query version: The number of the last applied migration; 0 without migrations.
SELECT coalesce(max(version), 0) FROM schema_version;

-- query record_version: Records an applied migration.
INSERT INTO schema_version (version) VALUES (:version);

-- query put_builtin_tools: Stores the built-in tools of this version; returns those that changed.
INSERT INTO tool AS t (project, name, owner, definition, revision, create_time, update_time)
SELECT '_', name, '', definition, 1, clock_now(), clock_now()
FROM unnest(:names::text[], :definitions::jsonb[]) AS new (name, definition)
ON CONFLICT (project, name) DO UPDATE
SET definition = excluded.definition, revision = t.revision + 1, update_time = excluded.update_time
WHERE t.definition <> excluded.definition
RETURNING name;

-- query bump_every_project: Makes workers reload the tools of every project.
UPDATE project SET revision = revision + 1;
