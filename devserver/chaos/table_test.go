package chaos_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// result is what the rounds of one kind came to.
type result struct {
	undelivered []int // at the kill, of each round that counts
	uncounted   int   // rounds with nothing undelivered at the kill
	took        time.Duration

	acked, lost, sameID, otherID, overtaken int
	retried, resubmitted                    int
}

// tabulate renders results as a Markdown table, in the order of kinds.
func tabulate(results map[string]result) string {
	var b strings.Builder
	b.WriteString("| kill -9 of | rounds | events acknowledged | of these undelivered at the kill: least / median / most / all rounds | lost | delivered again, same `webhook-id` | other `webhook-id` | out of order | stored without an answer | seconds |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, k := range kinds() {
		r, ok := results[k.name]
		if !ok {
			continue
		}
		least, median, most, sum := spread(r.undelivered)
		fmt.Fprintf(&b, "| %s | %d | %d | %d / %d / %d / %d | %d | %d | %d | %d | %d | %.0f |\n", k.title, len(r.undelivered),
			r.acked, least, median, most, sum, r.lost, r.sameID, r.otherID, r.overtaken, r.resubmitted, r.took.Seconds())
	}
	return b.String()
}

func spread(numbers []int) (least, median, most, sum int) {
	if len(numbers) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(numbers))
	for _, n := range sorted {
		sum += n
	}
	return sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1], sum
}

// The table stands between these lines of the file.
const (
	tableBegin = "<!-- make chaos writes this table -->\n"
	tableEnd   = "<!-- until here -->\n"
)

// keepTable writes the table into a file.
func keepTable(file, text string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(content), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return fmt.Errorf("%s has no place for the table: want the lines %q and %q", file, tableBegin, tableEnd)
	}
	return os.WriteFile(file, []byte(before+tableBegin+"\n"+text+"\n"+tableEnd+after), 0o644)
}

func TestTable(t *testing.T) {
	text := tabulate(map[string]result{"temporal": {undelivered: []int{9, 1, 4}, took: 90 * time.Second, acked: 100, sameID: 3}})
	if want := "| Temporal server | 3 | 100 | 1 / 4 / 9 / 14 | 0 | 3 | 0 | 0 | 0 | 90 |\n"; !strings.HasSuffix(text, want) {
		t.Errorf("the table is\n%s\nwant at its end\n%s", text, want)
	}
	file := t.TempDir() + "/doc.md"
	if err := os.WriteFile(file, []byte("before\n"+tableBegin+"old\n"+tableEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // writing again changes nothing
		if err := keepTable(file, text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if want := "before\n" + tableBegin + "\n" + text + "\n" + tableEnd + "after\n"; err != nil || string(got) != want {
		t.Errorf("the file is %q, want %q (%v)", got, want, err)
	}
}
