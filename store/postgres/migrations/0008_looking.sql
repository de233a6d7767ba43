-- How often events from before were owed anew, by replays and escalations: who remembers
-- where the pending events of a webhook begin forgets it then.
ALTER TABLE leases ADD COLUMN owed_again bigint NOT NULL DEFAULT 0;

-- Pages of a list are found by an index alone where vacuum has been. Events are never
-- updated, so that it comes by what was added: by default after a fifth of the table.
ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0.02);
