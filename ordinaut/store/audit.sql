-- query write: Adds records in the transaction of the change, and queues them for the seal.
WITH added AS (
  INSERT INTO audit (project, time, body_hash, body)
  SELECT :project::text, clock_now(), sha256(convert_to(b.body, 'UTF8')), b.body
  FROM unnest(:bodies::text[]) AS b (body)
  RETURNING id, project
)
INSERT INTO audit_todo (id, project) SELECT id, project FROM added;

-- query list: A page of a project's records, with their place in the chain.
SELECT a.id, a.time, a.body_hash, a.body, s.seq, s.hash
FROM audit AS a
LEFT JOIN audit_seal AS s ON s.entry = a.id
WHERE a.project = :project AND a.id < :before
-- filter
ORDER BY a.id DESC
LIMIT :size;

-- query export: Sealed records in the order of the chain.
SELECT a.id, a.time, a.body_hash, a.body, s.seq, s.hash
FROM audit_seal AS s
JOIN audit AS a ON a.id = s.entry
WHERE s.project = :project AND s.seq > :after AND s.seq <= :until
ORDER BY s.seq;

-- query erase: Erases the contents of records.
SELECT erase_audit(:project, :ids::bigint[], :reason);
