DROP TABLE IF EXISTS floor_item, floor_done;
CREATE TABLE floor_item (id uuid PRIMARY KEY, state text NOT NULL, owner int, payload jsonb NOT NULL);
CREATE INDEX floor_ready ON floor_item (id) WHERE state = 'READY';
CREATE INDEX floor_leased ON floor_item (owner) WHERE state = 'LEASED';
CREATE TABLE floor_done (id uuid PRIMARY KEY, payload jsonb NOT NULL);
INSERT INTO floor_item SELECT new_id(), 'READY', NULL, '{"city": "Cluj"}' FROM generate_series(1, 200000);
VACUUM ANALYZE floor_item;
