-- What was blocked is looked for most, and may be rare: without this, a list of it reads past everything that passed.
CREATE INDEX request_logs_blocked ON request_logs (organization_id, occurred_at, log_id)
  WHERE decision = 'block';
