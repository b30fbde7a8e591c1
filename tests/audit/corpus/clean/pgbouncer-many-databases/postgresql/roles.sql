CREATE ROLE shop LOGIN PASSWORD 'hunter2-canary';
ALTER ROLE shop SET statement_timeout = '5s';
CREATE ROLE warehouse LOGIN PASSWORD 'hunter2-canary';
CREATE ROLE prometheus LOGIN PASSWORD 'hunter2-canary';
GRANT pg_monitor, pg_use_reserved_connections TO prometheus;
