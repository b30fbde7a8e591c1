-- The exporter must see the server when it is full.
CREATE ROLE exporter LOGIN PASSWORD 'hunter2-canary';
GRANT pg_monitor TO exporter;
GRANT pg_use_reserved_connections TO exporter;
