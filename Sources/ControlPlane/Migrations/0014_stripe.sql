-- What Stripe tells, and what it calls those who pay.

ALTER TABLE organizations
  ADD COLUMN stripe_customer_id text,
  -- The one that pays for the plan; null when none does.
  ADD COLUMN stripe_subscription_id text;
CREATE INDEX organizations_stripe_customer ON organizations (stripe_customer_id)
  WHERE stripe_customer_id IS NOT NULL;

-- Every event that was signed, once: the first of the two keys that let each take effect once. The second one is the
-- payment with what happened to it, and stands in the workspace's state. It belongs to no workspace before it is known
-- to whose payment it is: row security shows it to the system alone.
CREATE TABLE stripe_events (
  event_id text PRIMARY KEY CHECK (length(event_id) BETWEEN 1 AND 255),
  received_at timestamptz NOT NULL DEFAULT now(),
  type text NOT NULL,
  api_version text,
  -- By Stripe's clock.
  created_at timestamptz NOT NULL,
  livemode boolean NOT NULL,
  -- The payment or the subscription that it is about: events about the same one may wait for each other.
  subject text,
  organization_id uuid,
  status text NOT NULL DEFAULT 'received'
    CHECK (status IN ('received', 'applied', 'ignored', 'parked', 'failed')),
  attempts integer NOT NULL DEFAULT 0,
  -- Why it is as it is. Ours: nothing of what was sent stands in it but ids.
  reason text,
  -- When it is tried again by itself; null when that would change nothing.
  retry_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- Only the members that are read: no name, no address, no card.
  payload jsonb NOT NULL
);
CREATE INDEX stripe_events_received ON stripe_events (received_at DESC, event_id DESC);
CREATE INDEX stripe_events_open ON stripe_events (status, received_at DESC, event_id DESC)
  WHERE status IN ('received', 'parked', 'failed');
CREATE INDEX stripe_events_subject ON stripe_events (subject) WHERE subject IS NOT NULL;
CREATE INDEX stripe_events_retry ON stripe_events (retry_at) WHERE retry_at IS NOT NULL;

-- Those that are deleted after a while.
CREATE INDEX stripe_events_finished ON stripe_events (updated_at) WHERE status IN ('applied', 'ignored');

GRANT SELECT, INSERT, UPDATE, DELETE ON stripe_events TO signalbox_app;

ALTER TABLE stripe_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE stripe_events FORCE ROW LEVEL SECURITY;
CREATE POLICY platform ON stripe_events USING ((SELECT signalbox_is_system()));
