package activities

import "time"

// tickBefore is the latest tick at or before now: anchor + k × every, for any whole k.
// It is arithmetic on the anchor, so ticks never drift, however late a run was.
func tickBefore(anchor, now time.Time, every time.Duration) time.Time {
	since := now.Sub(anchor)
	k := since / every
	if since%every < 0 { // the anchor lies ahead
		k--
	}
	return anchor.Add(k * every)
}

// tickAfter is the first tick after now.
func tickAfter(anchor, now time.Time, every time.Duration) time.Time {
	return tickBefore(anchor, now, every).Add(every)
}
