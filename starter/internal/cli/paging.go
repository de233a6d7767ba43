package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// maxPage is the longest page the API gives.
const maxPage = 1000

// defaultLimit is how many items a list shows when nothing is said.
const defaultLimit = 100

// paging is how much of a list is wanted.
type paging struct {
	limit  int
	cursor string
	all    bool
}

func (l *paging) bind(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.limit, "limit", defaultLimit, "how many at most")
	cmd.Flags().BoolVar(&l.all, "all", false, "all there are, however many")
	cmd.Flags().StringVar(&l.cursor, "cursor", "", "go on where an earlier list ended")
}

// list reads pages until as many items are there as are wanted, or no more follow, and
// prints them as one page of the API's shape. A page may be short, or empty, with more
// behind it: a search that takes long goes on from its cursor.
func list[T any](ctx context.Context, p *program, path string, query url.Values, l paging, text func(io.Writer, page[T]) error) error {
	switch {
	case l.limit < 1:
		return usagef("--limit %d: want 1 or more", l.limit)
	case l.all && l.limit != defaultLimit:
		return usagef("--limit %d and --all exclude each other", l.limit)
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	raws, next, err := api.pages(ctx, path, query, l, p.progress("listing"))
	if err != nil {
		return err
	}
	if p.output == "json" {
		return printJSON(p.Stdout, page[json.RawMessage]{Items: notNil(raws), Next: next})
	}
	shown := page[T]{Items: make([]T, len(raws)), Next: next}
	for i, raw := range raws {
		if err := json.Unmarshal(raw, &shown.Items[i]); err != nil {
			return fmt.Errorf("reading the answer of %s: %w; is TOCSIN_API_URL right?", api.base, err)
		}
	}
	if err := text(p.Stdout, shown); err != nil {
		return err
	}
	return more(p.Stdout, next)
}

// pages reads as many items as are wanted, and returns where more begin; "" for nowhere.
func (c *apiClient) pages(ctx context.Context, path string, query url.Values, l paging, bar *progress) (items []json.RawMessage, next string, err error) {
	defer bar.end()
	asked := url.Values{}
	for name, values := range query {
		asked[name] = values
	}
	next = l.cursor
	for {
		size := maxPage
		if !l.all {
			size = min(size, l.limit-len(items))
		}
		asked.Set("limit", strconv.Itoa(size))
		if next != "" {
			asked.Set("cursor", next)
		}
		var answer page[json.RawMessage]
		if err := c.call(ctx, http.MethodGet, path, asked, nil, &answer); err != nil {
			return nil, "", err
		}
		items, next = append(items, answer.Items...), answer.Next
		if next == "" || !l.all && len(items) >= l.limit {
			return items, next, nil
		}
		bar.at(int64(len(items)), 0, fmt.Sprintf("%d so far", len(items)))
	}
}

// more tells on the last line how to see what follows.
func more(w io.Writer, next string) error {
	if next == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "more with --cursor %s, or --all\n", clean(next))
	return err
}
