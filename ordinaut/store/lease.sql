-- query take: A new lease for a new worker.
INSERT INTO lease (id, host, address, start_time, expire_time)
SELECT :lease, :host, :address, now, now + :seconds::float8 * interval '1 second'
FROM (SELECT clock_now() AS now) AS clock;

-- query renew: Prolongs a lease that is still good; no row: it is over.
UPDATE lease
SET expire_time = clock_now() + :seconds::float8 * interval '1 second'
WHERE id = :lease AND expire_time > clock_now()
RETURNING id;

-- query drain: The worker takes no new runs.
UPDATE lease SET draining = true WHERE id = :lease;

-- query give_up: The worker holds nothing any more. (Both name the state: without it no index serves them.)
DELETE FROM lease
WHERE id = :lease AND NOT EXISTS (SELECT FROM due_work WHERE state = 'LEASED' AND lease_owner = :lease);

-- query forget_expired: Leases that ended and that no row names.
DELETE FROM lease AS l
WHERE l.expire_time < clock_now() - interval '1 minute'
  AND NOT EXISTS (SELECT FROM due_work AS d WHERE d.state = 'LEASED' AND d.lease_owner = l.id);
