package catalog

import "strings"

// Suggest returns the word in from that somebody who wrote word most likely meant, or
// "" when nothing is near: at most one slip for every three letters, upper and lower
// case alike. Of equally near words the first wins.
func Suggest(word string, from []string) string {
	w := strings.ToLower(word)
	if len(w) > 100 {
		return "" // no word of ours is this long, and the cost grows with its square
	}
	best, limit := "", max(len(w)/3, 1)+1
	for _, candidate := range from {
		if d := distance(w, strings.ToLower(candidate)); d < limit {
			best, limit = candidate, d
		}
	}
	return best
}

// distance counts the slips between two words: a letter added, left out, replaced, or
// swapped with its neighbour.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
