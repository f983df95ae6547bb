-- A token that the identity provider gave out before a person was erased must not bring them back.

ALTER TABLE users
  -- Keyed hash of issuer and subject: all that is left of how an erased person signed in.
  ADD COLUMN identity_hash bytea;
CREATE INDEX users_erased_identity ON users (identity_hash) WHERE erased_at IS NOT NULL;
