CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE public.event_log_head (
    singleton boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT event_log_head_singleton_check CHECK (singleton)
)
WITH (fillfactor='10');

CREATE TABLE public.events (
    organization_id uuid NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    schema_version integer NOT NULL,
    payload jsonb NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    request_id text,
    causation_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT events_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT events_position_check CHECK (("position" > 0)),
    CONSTRAINT events_previous_hash_check CHECK ((octet_length(previous_hash) = 32)),
    CONSTRAINT events_schema_version_check CHECK ((schema_version > 0)),
    CONSTRAINT events_version_check CHECK ((version > 0))
);

CREATE TABLE public.idempotency_records (
    principal_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    version bigint,
    location text,
    "position" bigint,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.memberships (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT memberships_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'developer'::text, 'billing'::text, 'viewer'::text])))
);

CREATE TABLE public.organization_slugs (
    organization_id uuid NOT NULL,
    slug text NOT NULL
);

CREATE TABLE public.organizations (
    organization_id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
);

CREATE TABLE public.personal_access_tokens (
    token_id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT personal_access_tokens_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.projects (
    organization_id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    environment text NOT NULL,
    rate_limit bigint,
    abuse_threshold bigint,
    max_tokens bigint,
    loop_sensitivity text NOT NULL,
    panic_mode boolean NOT NULL,
    panic_mode_reason text,
    panic_mode_since timestamp with time zone,
    panic_mode_by_kind text,
    panic_mode_by_id uuid,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT projects_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'test'::text]))),
    CONSTRAINT projects_loop_sensitivity_check CHECK ((loop_sensitivity = ANY (ARRAY['off'::text, 'low'::text, 'medium'::text, 'high'::text])))
)
WITH (fillfactor='50');

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.server_secrets (
    name text NOT NULL,
    value bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.snapshots (
    organization_id uuid NOT NULL,
    version bigint NOT NULL,
    fold_version integer NOT NULL,
    hash bytea NOT NULL,
    state bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.users (
    user_id uuid NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    email text,
    name text,
    is_platform_admin boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.workspace_audit_events (
    organization_id uuid NOT NULL,
    "position" bigint NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    action text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    target_kind text NOT NULL,
    target_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    request_id text,
    ip inet,
    user_agent text,
    before jsonb,
    after jsonb
);

ALTER TABLE ONLY public.event_log_head
    ADD CONSTRAINT event_log_head_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (organization_id, version);

ALTER TABLE ONLY public.idempotency_records
    ADD CONSTRAINT idempotency_records_pkey PRIMARY KEY (principal_id, key);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (organization_id, user_id);

ALTER TABLE ONLY public.organization_slugs
    ADD CONSTRAINT organization_slugs_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY public.organization_slugs
    ADD CONSTRAINT organization_slugs_slug_key UNIQUE (slug);

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (organization_id, project_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.server_secrets
    ADD CONSTRAINT server_secrets_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (organization_id, version, fold_version);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_issuer_subject_key UNIQUE (issuer, subject);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.workspace_audit_events
    ADD CONSTRAINT workspace_audit_events_pkey PRIMARY KEY (organization_id, "position");

CREATE INDEX events_organization_position ON public.events USING btree (organization_id, "position");

CREATE UNIQUE INDEX events_position ON public.events USING btree ("position");

CREATE INDEX idempotency_records_created_at ON public.idempotency_records USING btree (created_at);

CREATE INDEX memberships_user_id ON public.memberships USING btree (user_id, organization_id);

CREATE INDEX workspace_audit_events_target ON public.workspace_audit_events USING btree (organization_id, target_id, "position");

CREATE TRIGGER events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(user_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(organization_id);

GRANT USAGE ON SCHEMA public TO signalbox_app;

GRANT SELECT,UPDATE ON TABLE public.event_log_head TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.events TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_records TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.memberships TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organization_slugs TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organizations TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.personal_access_tokens TO signalbox_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.projects TO signalbox_app;

GRANT SELECT ON TABLE public.schema_migrations TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.server_secrets TO signalbox_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.snapshots TO signalbox_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO signalbox_app;

GRANT SELECT,INSERT ON TABLE public.workspace_audit_events TO signalbox_app;

