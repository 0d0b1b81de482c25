-- query take: Stores a new lease.
INSERT INTO lease (id, host, address, start_time, expire_time)
SELECT :lease, :host, :address, now, now + :seconds::float8 * interval '1 second'
FROM (SELECT clock_now() AS now) AS clock;

-- query renew: Extends a lease that has not expired; no row if it has. An expired lease is never extended, because its
-- rows may have been rescued already.
UPDATE lease
SET expire_time = clock_now() + :seconds::float8 * interval '1 second'
WHERE id = :lease AND expire_time > clock_now()
RETURNING id;

-- query drain: Lets no further claim happen under a lease.
UPDATE lease SET draining = true WHERE id = :lease;

-- query delete_unused: Deletes a lease without rows. (The state is part of the condition because the index is partial.)
DELETE FROM lease
WHERE id = :lease AND NOT EXISTS (SELECT FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease);

-- query delete_expired: Deletes expired leases without rows.
DELETE FROM lease AS l
WHERE l.expire_time < clock_now() - interval '1 minute'
  AND NOT EXISTS (SELECT FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id);
