-- query get: One entry.
SELECT namespace, key, value::text AS value, revision, update_time
FROM state_entry
WHERE project = :project AND namespace = :namespace AND key = :key AND NOT deleted;

-- query get_many: The entries of some names; `place` is the index of the name in the list, from 1.
SELECT n.place, s.value::text AS value, s.revision
FROM unnest(:projects::text[], :namespaces::text[], :keys::text[]) WITH ORDINALITY
  AS n (project, namespace, key, place)
JOIN state_entry AS s USING (project, namespace, key)
WHERE NOT s.deleted;

-- query put: Writes entries with distinct names if their revisions are the expected ones (0: no entry; NULL: any
-- revision). A tombstone counts as no entry; its revision is continued.
WITH new AS (
  SELECT *
  FROM unnest(:projects::text[], :namespaces::text[], :keys::text[], :values::jsonb[], :expecteds::bigint[])
    AS n (project, namespace, key, value, expected)
), written AS (
  INSERT INTO state_entry AS s (project, namespace, key, value, revision, update_time)
  SELECT n.project, n.namespace, n.key, n.value, 1, clock_now()
  FROM new AS n
  WHERE coalesce(n.expected, 0) = 0
    OR EXISTS (
      SELECT FROM state_entry AS e WHERE e.project = n.project AND e.namespace = n.namespace AND e.key = n.key)
  ORDER BY n.project, n.namespace, n.key
  ON CONFLICT (project, namespace, key) DO UPDATE
  SET value = excluded.value, deleted = false, revision = s.revision + 1, update_time = excluded.update_time
  WHERE (
    SELECT n.expected IS NULL OR n.expected = CASE WHEN s.deleted THEN 0 ELSE s.revision END
    FROM new AS n WHERE n.project = s.project AND n.namespace = s.namespace AND n.key = s.key)
  RETURNING project, namespace, key, value, revision, update_time
)
SELECT project, namespace, key, value::text AS value, revision, update_time FROM written;

-- query delete: Replaces an entry with a tombstone if its revision is the expected one (NULL: any revision).
UPDATE state_entry
SET value = NULL, deleted = true, revision = revision + 1, update_time = clock_now()
WHERE project = :project AND namespace = :namespace AND key = :key AND NOT deleted
  AND (:expected::bigint IS NULL OR revision = :expected)
RETURNING revision;

-- query list: A page of a namespace by key.
SELECT namespace, key, value::text AS value, revision, update_time
FROM state_entry
WHERE project = :project AND namespace = :namespace AND key > :after AND NOT deleted
ORDER BY key
LIMIT :size;
