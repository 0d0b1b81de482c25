-- query get: One entry.
SELECT namespace, key, value::text AS value, revision, update_time
FROM state_entry
WHERE project = :project AND namespace = :namespace AND key = :key AND NOT deleted;

-- query put: Writes an entry when its revision is the expected one (0: there is none; NULL: whatever it is).
-- A tombstone counts as none, and its revision goes on.
INSERT INTO state_entry AS s (project, namespace, key, value, revision, update_time)
SELECT :project, :namespace, :key, :value::jsonb, 1, clock_now()
WHERE coalesce(:expected::bigint, 0) = 0
  OR EXISTS (SELECT FROM state_entry WHERE project = :project AND namespace = :namespace AND key = :key)
ON CONFLICT (project, namespace, key) DO UPDATE
SET value = excluded.value, deleted = false, revision = s.revision + 1, update_time = excluded.update_time
WHERE :expected IS NULL OR :expected = CASE WHEN s.deleted THEN 0 ELSE s.revision END
RETURNING namespace, key, value::text AS value, revision, update_time;

-- query delete: Leaves a tombstone when the revision is the expected one (NULL: whatever it is).
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
