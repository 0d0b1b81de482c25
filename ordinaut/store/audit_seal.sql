-- query projects: Projects with records that are not sealed.
SELECT DISTINCT project FROM (SELECT project FROM audit_todo ORDER BY id LIMIT :batch) AS t;

-- query try_lock: Whether this transaction may extend a project's chain; false while another scheduler does.
SELECT pg_try_advisory_xact_lock(hashtext('ordinaut audit'), hashtext(:project));

-- query head: The last seal of a project, else its checkpoint.
SELECT seq, hash FROM (
  (SELECT seq, hash FROM audit_seal WHERE project = :project ORDER BY seq DESC LIMIT 1)
  UNION ALL
  SELECT seq, hash FROM audit_checkpoint WHERE project = :project
) AS ends
ORDER BY seq DESC
LIMIT 1;

-- query todo: The next records of a project to be sealed. All are committed, in an order that need not be that of ids.
SELECT a.id, a.time, a.body_hash
FROM audit_todo AS t
JOIN audit AS a ON a.id = t.id
WHERE t.project = :project
ORDER BY t.id
LIMIT :batch;

-- query seal: Extends the chain.
INSERT INTO audit_seal (project, seq, entry, hash)
SELECT :project, s.seq, s.entry, s.hash
FROM unnest(:seqs::bigint[], :entries::bigint[], :hashes::bytea[]) AS s (seq, entry, hash);

-- query done: The records are sealed.
DELETE FROM audit_todo WHERE id = ANY(:entries::bigint[]);

-- query drop: Drops sealed records from the beginning of a chain.
SELECT drop_audit(:project, clock_now() - :age::interval, :batch);

-- query every_project: Every project.
SELECT name FROM project ORDER BY name;
