-- PostgreSQL without Ordinaut: claim 100 rows in one transaction, complete them in the next.
WITH picked AS MATERIALIZED (
  SELECT id FROM floor_item WHERE state = 'READY' ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE floor_item AS i SET state = 'LEASED', owner = :client_id FROM picked WHERE i.id = picked.id;
WITH completed AS (DELETE FROM floor_item WHERE state = 'LEASED' AND owner = :client_id RETURNING id, payload)
INSERT INTO floor_done SELECT id, payload FROM completed;
