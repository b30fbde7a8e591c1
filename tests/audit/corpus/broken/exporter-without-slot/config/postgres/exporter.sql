CREATE ROLE exporter LOGIN;
GRANT pg_monitor TO exporter;
