-- query extent: Checkpoint and last position of a project's chain, and the number of records outside of it.
SELECT
  coalesce(c.seq, 0) AS dropped, c.hash AS dropped_hash, greatest(s.seq, c.seq, 0) AS last,
  (SELECT count(*) FROM audit AS a
   WHERE a.project = :project AND NOT EXISTS (SELECT FROM audit_seal AS x WHERE x.entry = a.id)) AS unsealed
FROM (SELECT max(seq) AS seq FROM audit_seal WHERE project = :project) AS s
LEFT JOIN audit_checkpoint AS c ON c.project = :project;

-- query sealed: Seals in a range of positions, with what is there of their records.
SELECT s.seq, s.entry, s.hash, a.time, a.body_hash,
  a.body IS NOT NULL AND sha256(convert_to(a.body, 'UTF8')) <> a.body_hash AS altered
FROM audit_seal AS s
LEFT JOIN audit AS a ON a.id = s.entry AND a.project = s.project
WHERE s.project = :project AND s.seq > :after AND s.seq <= :until
ORDER BY s.seq;

-- query overdue: The oldest record that should have been sealed.
SELECT a.id, a.time
FROM audit AS a
WHERE a.project = :project AND a.time < clock_now() - :age::interval
  AND NOT EXISTS (SELECT FROM audit_seal AS s WHERE s.entry = a.id)
ORDER BY a.id
LIMIT 1;
