-- The rival: the same rows in a schema of its own, and one function that does in one transaction
-- what a batch of ours does for each of its commands.

CREATE SCHEMA bench;

-- LIKE leaves out storage parameters, foreign keys and triggers.
DO $$
DECLARE
  name text;
  extra text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'event_log_head', 'events', 'organizations', 'projects', 'workspace_audit_events']
  LOOP
    EXECUTE format('CREATE TABLE bench.%1$I (LIKE public.%1$I INCLUDING ALL)', name);
    FOR extra IN
      SELECT format('ALTER TABLE bench.%I SET (%s)', relname, array_to_string(reloptions, ', '))
      FROM pg_class
      WHERE oid = format('public.%I', name)::regclass AND reloptions IS NOT NULL
    LOOP
      EXECUTE extra;
    END LOOP;
    FOR extra IN
      SELECT format('ALTER TABLE bench.%I ADD %s', name,
        replace(pg_get_constraintdef(oid), 'REFERENCES ', 'REFERENCES bench.'))
      FROM pg_constraint
      WHERE conrelid = format('public.%I', name)::regclass AND contype = 'f'
    LOOP
      EXECUTE extra;
    END LOOP;
    FOR extra IN
      SELECT replace(pg_get_triggerdef(oid), ' public.', ' bench.')
      FROM pg_trigger
      WHERE tgrelid = format('public.%I', name)::regclass AND NOT tgisinternal
    LOOP
      EXECUTE extra;
    END LOOP;
  END LOOP;
END
$$;

-- pgbench's variables are numbers: every id of the copy is made from one.
CREATE FUNCTION bench.project_id(number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT lpad(to_hex(number), 32, '0')::uuid
$$;
CREATE FUNCTION bench.organization_id(project integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT lpad(to_hex(1000000 + project % 10), 32, '0')::uuid
$$;

INSERT INTO bench.event_log_head SELECT * FROM public.event_log_head;

CREATE TEMPORARY TABLE place AS
  SELECT organization_id, bench.organization_id(row_number() OVER ()::integer) AS copy
  FROM public.organizations;

INSERT INTO bench.organizations
  SELECT (jsonb_populate_record(o, jsonb_build_object('organization_id', copy))).*
  FROM public.organizations o JOIN place USING (organization_id);

INSERT INTO bench.projects
  SELECT (jsonb_populate_record(p, jsonb_build_object(
    'organization_id', bench.organization_id(number), 'project_id', bench.project_id(number)))).*
  FROM (SELECT p, row_number() OVER ()::integer AS number FROM public.projects p) AS numbered;

INSERT INTO bench.events
  SELECT (jsonb_populate_record(e, jsonb_build_object('organization_id', copy))).*
  FROM public.events e JOIN place USING (organization_id);

INSERT INTO bench.workspace_audit_events
  SELECT (jsonb_populate_record(a, jsonb_build_object('organization_id', copy))).*
  FROM public.workspace_audit_events a JOIN place USING (organization_id);

CREATE FUNCTION bench.set_panic_mode(number integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  workspace constant uuid := bench.organization_id(number);
  id constant uuid := bench.project_id(number);
  who constant uuid := '018f0000-0000-7000-8000-000000000001';
  moment constant timestamptz := clock_timestamp();
  event constant uuid := gen_random_uuid();
  head bigint;
  project bench.projects;
  stream_version bigint;
  stream_hash bytea;
  event_type text;
  payload jsonb;
BEGIN
  -- 1. The queue of all writers, what is about to change, and the end of its chain. Those who wait
  -- at a row all wake at each commit; an advisory lock before it wakes one: kinder to the rival.
  PERFORM pg_advisory_xact_lock(1);
  SELECT position INTO STRICT head FROM bench.event_log_head WHERE singleton FOR UPDATE;
  SELECT * INTO STRICT project FROM bench.projects
    WHERE organization_id = workspace AND project_id = id;
  SELECT version, hash INTO STRICT stream_version, stream_hash FROM bench.events
    WHERE organization_id = workspace ORDER BY version DESC LIMIT 1;

  -- 2. Decide: it is always a change.
  event_type := CASE WHEN project.panic_mode
    THEN 'project.panic_mode_disabled' ELSE 'project.panic_mode_enabled' END;
  payload := jsonb_build_object('project_id', id, 'reason', 'round 1');

  -- 3. Write: the event, the row, the audit with before and after, the head.
  INSERT INTO bench.events
    (organization_id, version, position, event_id, type, schema_version, payload, actor_kind,
     actor_id, request_id, causation_id, occurred_at, previous_hash, hash)
  VALUES
    (workspace, stream_version + 1, head + 1, event, event_type, 1, payload, 'user', who,
     event::text, event, moment, stream_hash,
     sha256(stream_hash || convert_to(payload::text, 'UTF8')));
  UPDATE bench.projects SET
    panic_mode = NOT project.panic_mode,
    panic_mode_reason = CASE WHEN NOT project.panic_mode THEN 'round 1' END,
    panic_mode_since = CASE WHEN NOT project.panic_mode THEN moment END,
    panic_mode_by_kind = CASE WHEN NOT project.panic_mode THEN 'user' END,
    panic_mode_by_id = CASE WHEN NOT project.panic_mode THEN who END,
    version = project.version + 1, updated_at = moment
  WHERE organization_id = workspace AND project_id = id;
  INSERT INTO bench.workspace_audit_events
    (organization_id, position, version, event_id, action, actor_kind, actor_id, target_kind,
     target_id, occurred_at, request_id, ip, before, after)
  VALUES
    (workspace, head + 1, stream_version + 1, event, event_type, 'user', who, 'project', id,
     moment, event::text, '127.0.0.1',
     jsonb_build_object(
       'panic_mode', jsonb_build_object(
         'enabled', project.panic_mode, 'reason', project.panic_mode_reason,
         'since', project.panic_mode_since, 'by', project.panic_mode_by_id),
       'version', project.version, 'updated_at', project.updated_at),
     jsonb_build_object(
       'panic_mode', jsonb_build_object(
         'enabled', NOT project.panic_mode, 'reason', 'round 1', 'since', moment, 'by', who),
       'version', project.version + 1, 'updated_at', moment));
  UPDATE bench.event_log_head SET position = head + 1 WHERE singleton;
  PERFORM pg_notify('bench_events', (head + 1)::text);
  RETURN head + 1;
END
$$;

ANALYZE;
