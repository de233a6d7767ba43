package postgres

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// hintChannel is where processes tell each other of committed work. A payload is the
// sender's name followed by webhook ids, all parted by spaces.
const hintChannel = "tocsin_owed"

// maxPayload is how many bytes a notification may have: fewer than 8000
// (https://www.postgresql.org/docs/current/sql-notify.html).
const maxPayload = 7900

// listenAgain is how long to wait before listening again after the connection was lost.
const listenAgain = time.Second

// hints passes on that work was committed: to subscribers of this process at once, to
// other processes by NOTIFY, sent by one goroutine that takes together what came while
// it was sending. A NOTIFY never waits for the disk and no caller waits for it.
type hints struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	name string // of this process, to know its own notifications

	ctx  context.Context // ends with close
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	subs      map[string]map[chan struct{}]bool
	unsent    map[string]bool
	wake      chan struct{} // has a value while something is unsent
	sending   bool
	listening bool
}

func newHints(pool *pgxpool.Pool, log *slog.Logger) *hints {
	ctx, stop := context.WithCancel(context.Background())
	return &hints{
		pool: pool, log: log, name: rand.Text(), ctx: ctx, stop: stop,
		subs: map[string]map[chan struct{}]bool{}, unsent: map[string]bool{}, wake: make(chan struct{}, 1),
	}
}

func (h *hints) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.wg.Wait()
}

// Hints implements [tocsin.EventLog]. The first call starts to listen on a connection
// of its own; until that is up, hints come from this process alone.
func (db *DB) Hints(webhookID string) (<-chan struct{}, func()) {
	h, c := db.hints, make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[webhookID] == nil {
		h.subs[webhookID] = map[chan struct{}]bool{}
	}
	h.subs[webhookID][c] = true
	if !h.listening && !h.closed {
		h.listening = true
		h.wg.Go(h.listen)
	}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs[webhookID], c)
		if len(h.subs[webhookID]) == 0 {
			delete(h.subs, webhookID)
		}
	}
}

// give hints to subscribers here, and sees to it that other processes hear of it.
func (h *hints) give(webhookIDs ...string) {
	if len(webhookIDs) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.tell(webhookIDs)
	for _, id := range webhookIDs {
		h.unsent[id] = true
	}
	if !h.sending {
		h.sending = true
		h.wg.Go(h.send)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// tell wakes this process's subscribers; h.mu is held.
func (h *hints) tell(webhookIDs []string) {
	for _, id := range webhookIDs {
		for c := range h.subs[id] {
			select {
			case c <- struct{}{}:
			default: // it has a hint already
			}
		}
	}
}

// send notifies other processes until close. What cannot be sent is dropped: the
// sweeper makes up for it, and a store that is away has nobody listening.
func (h *hints) send() {
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		for _, payload := range h.payloads() {
			_, err := h.pool.Exec(h.ctx, `SELECT `+lazily+`, pg_notify($1, $2)`, hintChannel, payload)
			if err != nil && h.ctx.Err() == nil {
				h.log.Warn("sending hints to other processes", "error", err)
				break
			}
		}
	}
}

// payloads takes what is unsent.
func (h *hints) payloads() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	b := h.name
	for id := range h.unsent {
		if len(b)+1+len(id) > maxPayload {
			out = append(out, b)
			b = h.name
		}
		b += " " + id
	}
	clear(h.unsent)
	if b != h.name {
		out = append(out, b)
	}
	return out
}

// listen passes on other processes' notifications, connecting again when it must.
func (h *hints) listen() {
	for h.ctx.Err() == nil {
		err := h.listenOnce()
		if h.ctx.Err() != nil {
			return
		}
		h.log.Warn("listening for hints from other processes; trying again", "error", err)
		select {
		case <-h.ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

func (h *hints) listenOnce() error {
	conn, err := pgx.ConnectConfig(h.ctx, h.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(h.ctx, "LISTEN "+hintChannel); err != nil {
		return err
	}
	h.tellAll() // something may have been committed while nobody listened
	for {
		n, err := conn.WaitForNotification(h.ctx)
		if err != nil {
			return err
		}
		sender, ids, _ := strings.Cut(n.Payload, " ")
		if sender == h.name {
			continue
		}
		h.mu.Lock()
		h.tell(strings.Fields(ids))
		h.mu.Unlock()
	}
}

func (h *hints) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.subs {
		h.tell([]string{id})
	}
}
