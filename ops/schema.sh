#!/bin/sh
# Prints the schema of a migrated database in the form of ops/schema.sql: as pg_dump writes it, without what differs
# from server to server (versions, settings, owners, the tokens of newer pg_dumps).
#
#   ops/schema.sh postgres://user@host/database > ops/schema.sql
set -eu
pg_dump --schema-only --no-owner --no-comments --schema=public "$1" |
  sed -e '/^--/d' -e '/^SET /d' -e '/^SELECT pg_catalog.set_config/d' -e '/^\\/d' \
    -e '/^CREATE SCHEMA public;$/d' |
  cat -s | sed -e '1{/^$/d}'
