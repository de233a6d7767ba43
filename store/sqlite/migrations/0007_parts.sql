-- The deliveries that a split one became. Nearly all have no parent, and it never changes:
-- usual deliveries don't touch the index.
CREATE INDEX deliveries_parent ON deliveries (parent) WHERE parent <> '';
