-- For the service alone: backups and migrations take as long as they take.
ALTER ROLE search SET statement_timeout = '5s';
ALTER ROLE search SET lock_timeout = '2s';
ALTER ROLE search SET idle_in_transaction_session_timeout = '15s';
