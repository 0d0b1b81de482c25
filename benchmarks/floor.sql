-- What PostgreSQL alone can do: claim a hundred rows, complete a hundred rows, each in a commit of its own.
WITH picked AS MATERIALIZED (
  SELECT id FROM floor_item WHERE state = 'READY' ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE floor_item AS i SET state = 'LEASED', owner = :client_id FROM picked WHERE i.id = picked.id;
WITH gone AS (DELETE FROM floor_item WHERE state = 'LEASED' AND owner = :client_id RETURNING id, payload)
INSERT INTO floor_done SELECT id, payload FROM gone;
