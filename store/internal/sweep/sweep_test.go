package sweep_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin/store/internal/sweep"
)

func TestRounds(t *testing.T) {
	for _, c := range []struct {
		rows, limit, chunk int
		gone               int
		more               bool
		asked              []int
	}{
		{rows: 0, limit: 5, chunk: 2, asked: []int{2}},
		{rows: 3, limit: 5, chunk: 2, gone: 3, asked: []int{2, 2}},
		{rows: 9, limit: 5, chunk: 2, gone: 5, more: true, asked: []int{2, 2, 1}},
		{rows: 5, limit: 5, chunk: 9, gone: 5, more: true, asked: []int{5}},
	} {
		var asked []int
		gone, left := 0, c.rows
		more, err := sweep.Rounds(c.limit, c.chunk, func(n int) (int, error) {
			asked = append(asked, n)
			k := min(n, left)
			gone, left = gone+k, left-k
			return k, nil
		})
		if err != nil || gone != c.gone || more != c.more || !cmp.Equal(asked, c.asked) {
			t.Errorf("%+v: got %d gone, more %v, asked %v, error %v", c, gone, more, asked, err)
		}
	}
}

// rows are numbered from 1; those in kept are still needed.
type rows struct {
	there  []int
	kept   func(int) bool
	looked int
}

func (r *rows) step(after, n int) (w sweep.Window[int], err error) {
	var left []int
	for _, row := range r.there {
		if row <= after || w.Seen == n {
			left = append(left, row)
			continue
		}
		r.looked++
		w.Seen, w.Last = w.Seen+1, row
		if r.kept(row) {
			left = append(left, row)
		} else {
			w.Gone++
		}
	}
	r.there = left
	return w, nil
}

func numbers(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

// TestPassEnds: each row is looked at once, however many are kept and wherever they are.
func TestPassEnds(t *testing.T) {
	for name, kept := range map[string]func(int) bool{
		"none":          func(int) bool { return false },
		"all":           func(int) bool { return true },
		"the first":     func(n int) bool { return n <= 900 },
		"every second":  func(n int) bool { return n%2 == 0 },
		"all but a few": func(n int) bool { return n%100 != 0 },
	} {
		for _, limit := range []int{1, 7, 1000, 5000} {
			r := &rows{there: numbers(1000), kept: kept}
			var p sweep.Pass[int]
			calls := 0
			for more := true; more; calls++ {
				var err error
				if more, err = p.Run(limit, 50, r.step); err != nil || calls > 1001 {
					t.Fatalf("%s, limit %d: %d calls, error %v", name, limit, calls, err)
				}
			}
			for _, row := range r.there {
				if !kept(row) {
					t.Fatalf("%s, limit %d: %d is still there", name, limit, row)
				}
			}
			if more, err := p.Run(limit, 50, r.step); more || err != nil || r.looked != 1000 {
				t.Errorf("%s, limit %d: looked at %d rows of 1000, more %v, error %v", name, limit, r.looked, more, err)
			}
			if p.Restart(); limit > 1000 {
				_, _ = p.Run(limit, 50, r.step)
				if again := len(r.there); r.looked != 1000+again {
					t.Errorf("%s: looked at %d rows after Restart, want %d", name, r.looked-1000, again)
				}
			}
		}
	}
}

// TestPassIsForgotten: whoever comes long after somebody stopped half way begins at the
// beginning; who comes soon goes on.
func TestPassIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{there: numbers(1000), kept: func(int) bool { return true }}
		var p sweep.Pass[int]
		var from []int
		run := func() {
			first := true
			if _, err := p.Run(5, 5, func(after, n int) (sweep.Window[int], error) {
				if first {
					from, first = append(from, after), false
				}
				return r.step(after, n)
			}); err != nil {
				t.Fatal(err)
			}
		}
		run()
		run()
		time.Sleep(59 * time.Minute)
		run()
		time.Sleep(time.Hour)
		run()
		if diff := cmp.Diff([]int{0, 50, 100, 0}, from); diff != "" {
			t.Errorf("began after (-want +got):\n%s", diff)
		}
	})
}

// TestPassOverManyRounds: rounds of four minutes, a minute apart, of which each sees less
// than there is, get to the end.
func TestPassOverManyRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{there: numbers(10_000), kept: func(n int) bool { return n < 9_990 }}
		var p sweep.Pass[int]
		rounds := 0
		for more := true; more; rounds++ {
			if rounds > 3 {
				t.Fatalf("after %d rounds %d rows were looked at", rounds, r.looked)
			}
			for began := time.Now(); more && time.Since(began) < 4*time.Minute; {
				var err error
				if more, err = p.Run(10, 100, func(after, n int) (sweep.Window[int], error) {
					time.Sleep(time.Duration(n) * 60 * time.Millisecond)
					return r.step(after, n)
				}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		if len(r.there) != 9_989 {
			t.Errorf("%d rows are left, want the 9989 that are needed", len(r.there))
		}
	})
}

// TestPassAfterAnError goes on where the error was.
func TestPassAfterAnError(t *testing.T) {
	r := &rows{there: numbers(30), kept: func(int) bool { return false }}
	var p sweep.Pass[int]
	broken := errors.New("broken")
	steps := 0
	_, err := p.Run(100, 10, func(after, n int) (sweep.Window[int], error) {
		if steps++; steps == 2 {
			return sweep.Window[int]{}, broken
		}
		return r.step(after, n)
	})
	if !errors.Is(err, broken) {
		t.Fatalf("got error %v, want %v", err, broken)
	}
	if more, err := p.Run(100, 10, r.step); more || err != nil || len(r.there) > 0 || r.looked != 30 {
		t.Errorf("got more %v, error %v, %d rows left, %d looked at", more, err, len(r.there), r.looked)
	}
}

// TestPassAgain: rows that are free only when the pass has left them are found before it
// ends, and a pass that is told so all the time ends all the same.
func TestPassAgain(t *testing.T) {
	needed := true
	r := &rows{there: numbers(100), kept: func(n int) bool { return needed || n%2 == 0 }}
	var p sweep.Pass[int]
	if more, err := p.Run(3, 5, r.step); !more || err != nil {
		t.Fatalf("got more %v, error %v", more, err)
	}
	needed = false
	calls := 0
	for more := true; more; calls++ {
		p.Again()
		var err error
		if more, err = p.Run(3, 5, r.step); err != nil || calls > 1000 {
			t.Fatalf("%d calls, error %v", calls, err)
		}
	}
	if len(r.there) != 50 {
		t.Errorf("%d rows are left, want the 50 that are needed", len(r.there))
	}
	// At the beginning there is nothing behind.
	p.Restart()
	p.Again()
	r.looked = 0
	if more, err := p.Run(1000, 1000, r.step); more || err != nil || r.looked != 50 {
		t.Errorf("got more %v, error %v, looked at %d rows", more, err, r.looked)
	}
}
