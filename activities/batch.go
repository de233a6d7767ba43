package activities

import "github.com/tocsin-alerts/tocsin"

// maxBatchBytes bounds the events of one delivery, as stored: 1 MiB. A single larger
// event cannot be: tocsin.MaxEventBytes is less.
const maxBatchBytes = 1 << 20

// batches cuts pending rows into deliveries of at most size events and maxBatchBytes,
// each of one batch key, at most most of them. Rows are in the order they are owed;
// deliveries go out in the order returned. A dedup key's events keep their order: once
// a later batch holds the key, no row of it goes into an earlier one.
func batches(rows []tocsin.PendingEvent, size, most int) []tocsin.NewDelivery {
	var out []tocsin.NewDelivery
	open := map[string]int{}   // batch key → the batch that still takes rows
	bytes := map[int]int{}     // batch → bytes in it
	latest := map[string]int{} // dedup key → the last batch that holds it
	for _, row := range rows {
		at, ok := open[row.BatchKey]
		fits := ok && len(out[at].Events) < size && bytes[at]+row.Bytes <= maxBatchBytes
		if last, held := latest[row.DedupKey]; !fits || held && last > at {
			if len(out) == most {
				// Later rows could fit an earlier batch, but might overtake this one's key.
				return out
			}
			at = len(out)
			out = append(out, tocsin.NewDelivery{ID: tocsin.NewID(tocsin.PrefixDelivery)})
			open[row.BatchKey] = at
		}
		out[at].Events = append(out[at].Events, row)
		bytes[at] += row.Bytes
		latest[row.DedupKey] = at
	}
	return out
}
