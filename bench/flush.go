package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// A page of PostgreSQL's and how often one is written, which is as often as the webhook
// beside a backlog gets an event.
const (
	flushedPage  = 8192 // bytes, as wal_block_size is
	flushedPages = 128
	flushEvery   = time.Second / besideRate
)

// flushing measures, beside a load, how long the disk takes to make one page durable: no
// commit is faster than that.
type flushing struct {
	stop  context.CancelFunc
	took  recorder
	ended chan error
}

// startFlushing writes to a file of its own, next to the store's. Of a server elsewhere the
// disk is not known, and nothing is measured.
func (r *rig) startFlushing(ctx context.Context) *flushing {
	ctx, stop := context.WithCancel(ctx)
	f := &flushing{stop: stop, ended: make(chan error, 1)}
	if r.cluster == nil {
		f.ended <- nil
		return f
	}
	go func() { f.ended <- f.run(ctx, r.dataDir) }()
	return f
}

func (f *flushing) run(ctx context.Context, dir string) (err error) {
	file, err := os.CreateTemp(dir, "flushed-")
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	page := make([]byte, flushedPage)
	// The file has its size before, as a segment of the log has.
	for n := range int64(flushedPages) {
		if _, err := file.WriteAt(page, n*flushedPage); err != nil {
			return fmt.Errorf("writing to the disk: %w", err)
		}
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flushing the disk: %w", err)
	}
	due := time.Now()
	for n := int64(0); sleepUntil(ctx, due) && ctx.Err() == nil; n++ {
		page[0]++
		if _, err := file.WriteAt(page, n%flushedPages*flushedPage); err != nil {
			return fmt.Errorf("writing to the disk: %w", err)
		}
		if err := file.Sync(); err != nil {
			return fmt.Errorf("flushing the disk: %w", err)
		}
		// From when it was due, as an event that waits for it does.
		f.took.add(time.Since(due))
		due = due.Add(flushEvery)
	}
	return nil
}

// end stops it, and returns how long pages took.
func (f *flushing) end() (percentiles, error) {
	f.stop()
	err := <-f.ended
	return f.took.take(), err
}
