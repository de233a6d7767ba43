-- How often events from before were owed anew, by replays and escalations: who remembers
-- where the pending events of a webhook begin forgets it then.
ALTER TABLE leases ADD COLUMN owed_again bigint NOT NULL DEFAULT 0;
