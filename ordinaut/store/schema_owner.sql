-- query missing: The statement that creates a role; none if it exists.
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', :role::text) AS statement
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :role);

-- query transfers: The statements that make a role the owner of this database and of everything in the schema public that
-- has another owner. Sequences of identity columns follow their tables.
WITH wanted AS (SELECT oid FROM pg_roles WHERE rolname = :role)
SELECT format('ALTER DATABASE %I OWNER TO %I', d.datname, :role::text) AS statement
FROM pg_database AS d, wanted
WHERE d.datname = current_database() AND d.datdba <> wanted.oid
UNION ALL
SELECT format('ALTER %s %s OWNER TO %I',
  CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
  c.oid::regclass, :role::text)
FROM pg_class AS c, wanted
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> wanted.oid
  AND NOT EXISTS (SELECT FROM pg_depend AS p WHERE p.objid = c.oid AND p.classid = 'pg_class'::regclass
    AND p.deptype IN ('i', 'a', 'e') AND c.relkind = 'S')
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO %I', f.oid::regprocedure, :role::text)
FROM pg_proc AS f, wanted
WHERE f.pronamespace = 'public'::regnamespace AND f.proowner <> wanted.oid
UNION ALL
SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, :role::text)
FROM pg_type AS t, wanted
WHERE t.typnamespace = 'public'::regnamespace AND t.typowner <> wanted.oid AND t.typtype IN ('e', 'd');
