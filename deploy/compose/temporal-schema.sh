#!/bin/sh
# Makes Temporal's two databases and brings their schemas up to date; safe to repeat.
set -eu
tool="temporal-sql-tool --plugin postgres12 --ep $POSTGRES_SEEDS -u $POSTGRES_USER -p $DB_PORT"
for name in temporal visibility; do
  db=temporal
  [ "$name" = visibility ] && db=temporal_visibility
  $tool --db "$db" create
  # On a database that has a schema already, set-up fails, and the update is what counts.
  $tool --db "$db" setup-schema -v 0.0 || true
  $tool --db "$db" update-schema -d "/etc/temporal/schema/postgresql/v12/$name/versioned"
done
