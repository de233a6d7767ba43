package ingest

// SetAfterCommit makes the ingest call f between a commit and its ring.
func SetAfterCommit(in *Ingest, f func()) { in.afterCommit = f }
