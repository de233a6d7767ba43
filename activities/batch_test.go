package activities

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

func rows(specs ...[2]string) []tocsin.PendingEvent {
	var out []tocsin.PendingEvent
	for i, s := range specs {
		out = append(out, tocsin.PendingEvent{Seq: int64(i + 1), DedupKey: s[0], BatchKey: s[1], Bytes: 100})
	}
	return out
}

func seqs(batches []tocsin.NewDelivery) (out [][]int64) {
	for _, b := range batches {
		var s []int64
		for _, e := range b.Events {
			s = append(s, e.Seq)
		}
		out = append(out, s)
	}
	return out
}

func TestBatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		rows       []tocsin.PendingEvent
		size, most int
		want       [][]int64
	}{
		{"full batches in order", rows([2]string{"a"}, [2]string{"b"}, [2]string{"c"}), 2, 9, [][]int64{{1, 2}, {3}}},
		{"batch keys do not mix", rows([2]string{"a", "x"}, [2]string{"b", "y"}, [2]string{"c", "x"}), 9, 9, [][]int64{{1, 3}, {2}}},
		{"a dedup key never overtakes itself", rows([2]string{"k", "x"}, [2]string{"k", "y"}, [2]string{"k", "x"}), 9, 9, [][]int64{{1}, {2}, {3}}},
		{"no more than asked for", rows([2]string{"a"}, [2]string{"b"}, [2]string{"c"}), 1, 2, [][]int64{{1}, {2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, seqs(batches(tt.rows, tt.size, tt.most))); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	in := rows([2]string{"a"}, [2]string{"b"}, [2]string{"c"})
	for i := range in {
		in[i].Bytes = maxBatchBytes / 2
	}
	if diff := cmp.Diff([][]int64{{1, 2}, {3}}, seqs(batches(in, 100, 9))); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

// Whatever the rows, each is in one batch at most, no batch mixes keys or is too large,
// and a dedup key's rows leave in the order they came, without a gap.
func TestBatchesKeepOrderWhateverTheRows(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var in []tocsin.PendingEvent
		for i := range r.IntN(60) {
			in = append(in, tocsin.PendingEvent{Seq: int64(i), DedupKey: string(rune('a' + r.IntN(6))), BatchKey: string(rune('x' + r.IntN(3))), Bytes: r.IntN(maxBatchBytes / 3)})
		}
		size, most := 1+r.IntN(7), 1+r.IntN(9)
		out := batches(in, size, most)
		if len(out) > most {
			t.Fatalf("seed %d: %d batches, at most %d asked for", seed, len(out), most)
		}
		byKey := map[string][]int64{}
		for _, b := range out {
			total := 0
			for _, e := range b.Events {
				total += e.Bytes
				if e.BatchKey != b.Events[0].BatchKey {
					t.Fatalf("seed %d: a batch mixes keys", seed)
				}
				byKey[e.DedupKey] = append(byKey[e.DedupKey], e.Seq)
			}
			if len(b.Events) > size || total > maxBatchBytes {
				t.Fatalf("seed %d: a batch of %d events, %d bytes", seed, len(b.Events), total)
			}
		}
		for key, got := range byKey {
			var want []int64
			for _, e := range in {
				if e.DedupKey == key && len(want) < len(got) {
					want = append(want, e.Seq)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: order of key %s (-want +got):\n%s", seed, key, diff)
			}
		}
	}
}

func TestTicksNeverDrift(t *testing.T) {
	t.Parallel()
	anchor := time.Date(2026, 1, 1, 9, 7, 0, 0, time.UTC)
	every := 15 * time.Minute
	at := func(h, m, s int) time.Time { return time.Date(2026, 1, 1, h, m, s, 0, time.UTC) }
	tests := []struct{ now, before, after time.Time }{
		{at(9, 7, 0), at(9, 7, 0), at(9, 22, 0)},
		{at(9, 21, 59), at(9, 7, 0), at(9, 22, 0)},
		{at(11, 0, 1), at(10, 52, 0), at(11, 7, 0)},
		{at(8, 50, 0), at(8, 37, 0), at(8, 52, 0)}, // before the anchor
	}
	for _, tt := range tests {
		if got := tickBefore(anchor, tt.now, every); !got.Equal(tt.before) {
			t.Errorf("tick before %s is %s, want %s", tt.now, got, tt.before)
		}
		if got := tickAfter(anchor, tt.now, every); !got.Equal(tt.after) {
			t.Errorf("tick after %s is %s, want %s", tt.now, got, tt.after)
		}
	}
}

func TestProbeTakesTurnsWithoutOvertaking(t *testing.T) {
	t.Parallel()
	open := func(id string, attempts int, keys ...string) tocsin.OpenDelivery {
		return tocsin.OpenDelivery{Delivery: tocsin.Delivery{ID: id, Attempts: attempts}, DedupKeys: keys}
	}
	tests := []struct {
		name     string
		failures int
		open     []tocsin.OpenDelivery
		want     string
	}{
		{"the head, at first", 5, []tocsin.OpenDelivery{open("1", 4, "a"), open("2", 0, "b")}, "1"},
		{"another, when the head failed often", 5, []tocsin.OpenDelivery{open("1", 5, "a"), open("2", 0, "b")}, "2"},
		{"then the head again", 6, []tocsin.OpenDelivery{open("1", 5, "a"), open("2", 1, "b")}, "1"},
		{"the least tried, the earlier of two", 7, []tocsin.OpenDelivery{open("1", 6, "a"), open("2", 9, "b"), open("3", 7, "c"), open("4", 7, "d")}, "3"},
		{"none that shares a key", 5, []tocsin.OpenDelivery{open("1", 5, "a"), open("2", 0, "a"), open("3", 0, "c")}, "3"},
		{"nor one behind such", 5, []tocsin.OpenDelivery{open("1", 5, "a"), open("2", 0, "a", "b"), open("3", 0, "b")}, "1"},
	}
	for _, tt := range tests {
		if got := pickProbe(tt.open, tt.failures).ID; got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
