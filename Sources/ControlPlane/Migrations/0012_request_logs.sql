-- Evidence of requests, as gateways report it. One partition for each day of UTC, so that what is too old goes without a
-- trace and without a scan.

-- A record names its project, and nothing else says whose it is.
CREATE INDEX projects_project_id ON projects (project_id);

CREATE TABLE request_logs (
  organization_id uuid NOT NULL,
  -- To the millisecond, as the id says: the same id is always the same row.
  occurred_at timestamptz NOT NULL,
  log_id uuid NOT NULL,
  project_id uuid NOT NULL,
  key_id uuid,
  decision text NOT NULL CHECK (decision IN ('allow', 'block')),
  reason text,
  rule_id uuid,
  route text,
  provider text NOT NULL,
  model text NOT NULL,
  -- Null when it is not known, or what was reported is no country: the region is 'unknown' then.
  country text,
  region text NOT NULL DEFAULT 'unknown',
  client_address inet,
  tokens_requested bigint,
  tokens_in bigint,
  tokens_out bigint,
  cost_micro_usd bigint,
  status integer,
  latency_ms bigint,
  configuration_position bigint NOT NULL,
  PRIMARY KEY (organization_id, occurred_at, log_id)
) PARTITION BY RANGE (occurred_at);

-- The application makes and drops partitions, and may do nothing else to a table: by these two functions of the owner's.
DO $$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION add_request_log_partition(day date) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = %1$I, pg_temp AS $body$
    DECLARE
      partition text := 'request_logs_' || to_char(day, 'YYYYMMDD');
    BEGIN
      -- Replicas make the same partitions at the same time.
      PERFORM pg_advisory_xact_lock(hashtext('request_logs'), 0);
      IF to_regclass(partition) IS NULL THEN
        -- Attaching keeps nobody from reading or writing meanwhile; making a partition would.
        EXECUTE format('CREATE TABLE %%I (LIKE request_logs INCLUDING ALL)', partition);
        EXECUTE format(
          'ALTER TABLE request_logs ATTACH PARTITION %%I FOR VALUES FROM (%%L) TO (%%L)', partition,
          to_char(day, 'YYYY-MM-DD"T00:00:00Z"'), to_char(day + 1, 'YYYY-MM-DD"T00:00:00Z"'));
      END IF;
    END
    $body$
    $create$, current_schema());
  EXECUTE format($create$
    CREATE FUNCTION drop_request_log_partitions(before date) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = %1$I, pg_temp SET lock_timeout = '2s' AS $body$
    DECLARE
      partition text;
      dropped integer := 0;
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtext('request_logs'), 0);
      FOR partition IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'request_logs'::regclass
          AND c.relname < 'request_logs_' || to_char(before, 'YYYYMMDD')
        ORDER BY 1
      LOOP
        EXECUTE format('DROP TABLE %%I', partition);
        dropped := dropped + 1;
      END LOOP;
      RETURN dropped;
    END
    $body$
    $create$, current_schema());
END
$$;

REVOKE ALL ON FUNCTION add_request_log_partition(date), drop_request_log_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_request_log_partition(date), drop_request_log_partitions(date) TO signalbox_app;
-- Evidence is not changed afterwards.
GRANT SELECT, INSERT ON request_logs TO signalbox_app;

ALTER TABLE request_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE request_logs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON request_logs USING ((SELECT signalbox_is_system()) OR organization_id IN
  (SELECT signalbox_organizations((SELECT signalbox_principal()))));
