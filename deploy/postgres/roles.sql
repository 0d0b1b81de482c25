-- Run once by the database's image when it creates the database: the services connect as a role that owns the database
-- and cannot act as a superuser. The superuser keeps no password, so it is reached only from inside of the container.
\getenv role SERVICES_USER
\getenv password POSTGRES_PASSWORD
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
ALTER DATABASE :"DBNAME" OWNER TO :"role";
ALTER ROLE CURRENT_USER PASSWORD NULL;
