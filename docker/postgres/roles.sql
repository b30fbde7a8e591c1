-- Run once, when the database's volume is new.
\getenv password AUTH_PASSWORD
-- The service is no superuser: what is reserved for those stays reserved.
CREATE ROLE auth LOGIN PASSWORD :'password';
CREATE DATABASE auth OWNER auth;
-- Who watches has a place also when the service has every connection.
CREATE ROLE monitor LOGIN PASSWORD :'password';
GRANT pg_monitor, pg_use_reserved_connections TO monitor;
-- Where drills are played, apart from the service that stands here. It is the service's role in them, so it has no
-- place of its own either.
CREATE ROLE drill LOGIN PASSWORD :'password';
GRANT pg_monitor, pg_signal_backend TO drill;
CREATE DATABASE drill OWNER drill;
