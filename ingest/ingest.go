package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Config says what ingest works with.
type Config struct {
	Store     tocsin.Store         // required
	Conductor tocsin.Conductor     // required
	Catalog   *catalog.Catalog     // nil: the built-in one
	Channels  []tocsin.Channel     // for their batch keys; a webhook's channel that is not here has none
	Logger    *slog.Logger         // nil: nothing is logged
	Now       func() time.Time     // nil: time.Now; for defaults of time and the check that it is not ahead
	Metrics   *Metrics             // nil: nothing is counted
	Traces    trace.TracerProvider // nil: no spans
}

// Result says what became of the events of a request. Their sum is the number of events.
type Result struct {
	Accepted int `json:"accepted"`
	// Duplicates were known by their source and id, and are the same as before.
	Duplicates int `json:"duplicates"`
	// Conflicts were known by their source and id, with other content; the first stays.
	Conflicts int `json:"conflicts"`
}

// Ingest takes events in. It is safe for concurrent use.
type Ingest struct {
	store    tocsin.Store
	catalog  *catalog.Catalog
	channels []tocsin.Channel
	log      *slog.Logger
	now      func() time.Time

	// current is what events are matched against; who makes another holds the one place of
	// loading.
	current atomic.Pointer[matcher]
	loading chan struct{}
	filters filterCache
	lookups lookups
	// begun counts the reads of the configuration, read is the last that succeeded.
	begun atomic.Int64
	read  int64
	known tocsin.Configuration // what was read last, for who holds the place of loading

	metrics *Metrics
	tracer  *tracer
	queue   *queue
	ring    *ringer
	// incidents tells their workflows, apart from ring: a storm of them delays no doorbell.
	incidents *stage
	// afterCommit is called between a commit and its ring: where a process that is
	// killed loses the ring, and must lose nothing else.
	afterCommit func()
}

// New starts an ingest. Close ends it.
func New(cfg Config) (*Ingest, error) {
	if cfg.Store == nil || cfg.Conductor == nil {
		return nil, errors.New("starting ingest: Store and Conductor are required")
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog.Default()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	in := &Ingest{
		loading: make(chan struct{}, 1),
		store:   cfg.Store, catalog: cfg.Catalog, channels: cfg.Channels, log: cfg.Logger, now: cfg.Now,
		metrics: cfg.Metrics, tracer: newTracer(cfg.Traces), ring: newRinger(cfg.Store, cfg.Conductor, cfg.Logger, cfg.Metrics), incidents: newTeller(cfg.Conductor, cfg.Logger, cfg.Metrics), afterCommit: func() {},
	}
	in.queue = newQueue(in.commitGroup, cfg.Metrics)
	return in, nil
}

// Close commits what was submitted, rings, and ends. Submit fails from now on.
func (in *Ingest) Close() {
	in.queue.close()
	in.ring.close()
	in.incidents.close()
}

// Receive decodes a request and submits its events. Unlike Decode followed by Submit
// it reports what is wrong with form, limits and data all at once, and it refuses a
// body without events, which a producer did not mean, and types of category pipeline and
// the source /tocsin, which are Tocsin's own. The body must not change afterwards. Errors are those of
// Decode and Submit.
func (in *Ingest) Receive(ctx context.Context, header http.Header, body []byte) (Result, error) {
	var d *decoder
	var err error
	if IsBinary(header) {
		d, err = decodeBinary(header, body)
	} else {
		d, err = decode(header.Get("Content-Type"), body)
	}
	if err != nil {
		return Result{}, err
	}
	if len(d.events) == 0 && d.problems.total == 0 {
		return Result{}, tocsin.Errorf(tocsin.CodeInvalid, "no events: the body is an empty list; send at least one event")
	}
	in.refuseReserved(d.events, &d.problems)
	in.validate(d.events, &d.problems)
	if err := d.problems.err(len(d.events)); err != nil {
		return Result{}, err
	}
	return in.submit(ctx, d.events)
}

// Submit stores all events, and what is owed for them, or nothing; it returns after
// the commit. Events get the severity of their type, the status firing, the time of
// receipt and the default dedup key where they have none. The caller's events are not
// changed, and must not change. It is for callers within Tocsin: the announcements of
// category pipeline come this way.
//
// Errors: *tocsin.Error with CodeInvalid, or CodeTooLarge, listing every wrong field;
// CodeUnavailable when the store is away (then the outcome may be unknown; submitting
// again converges); the context's error, after which the events may still be stored.
func (in *Ingest) Submit(ctx context.Context, events []tocsin.Event) (Result, error) {
	if len(events) > MaxEvents {
		return Result{}, tocsin.Errorf(tocsin.CodeTooLarge, "%d events; one request may bring at most %d", len(events), MaxEvents)
	}
	events = slices.Clone(events)
	var p problems
	in.validate(events, &p)
	if err := p.err(len(events)); err != nil {
		return Result{}, err
	}
	return in.submit(ctx, events)
}

// SubmitEach stores the events that are valid, and lists what is wrong with the others
// (at most a hundred errors). The events are a producer's: as by Receive, types of
// category pipeline and the source /tocsin are refused. The error is about the valid ones.
func (in *Ingest) SubmitEach(ctx context.Context, events []tocsin.Event) (Result, []tocsin.FieldError, error) {
	var rejected []tocsin.FieldError
	valid := make([]tocsin.Event, 0, len(events))
	for i := range events {
		one := []tocsin.Event{events[i]}
		var p problems
		in.refuseReserved(one, &p)
		in.validate(one, &p)
		if p.total == 0 {
			valid = append(valid, one[0])
			continue
		}
		for _, f := range p.fields {
			if len(rejected) < maxReported {
				rejected = append(rejected, tocsin.FieldError{Index: &i, Field: f.Field, Message: f.Message})
			}
		}
	}
	var total Result
	for part := range slices.Chunk(valid, MaxEvents) {
		result, err := in.submit(ctx, part)
		if err != nil {
			return total, rejected, err
		}
		total = total.plus(result)
	}
	return total, rejected, nil
}

func (r Result) plus(o Result) Result {
	return Result{r.Accepted + o.Accepted, r.Duplicates + o.Duplicates, r.Conflicts + o.Conflicts}
}

// validate adds what is wrong with the events to p, but for fields it names already.
func (in *Ingest) validate(events []tocsin.Event, p *problems) {
	now := in.now()
	known := p.total > 0
	var i int
	bad := func(field, message string) {
		if !known || !p.has(i, field) {
			p.add(i, field, message)
		}
	}
	for i = range events {
		e := &events[i]
		if known && p.has(i, "") {
			continue // it could not be read at all
		}
		check(e, now, bad)
		size := p.total
		if complete(e, bad); p.total > size {
			p.tooLarge = p.tooLarge || len(e.Raw) > tocsin.MaxEventBytes
			continue
		}
		if e.Type == "" || known && p.has(i, "type") {
			continue // said already
		}
		for _, f := range in.catalog.Validate(e) {
			bad(f.Field, f.Message)
		}
	}
}

// refuseReserved adds a problem for each event of a type, or from a source, that only
// Tocsin itself may report: a producer that could would make people distrust what Tocsin
// says of its own webhooks, or keep it from saying that, by taking the ids of its events.
func (in *Ingest) refuseReserved(events []tocsin.Event, p *problems) {
	for i := range events {
		if events[i].Source == source {
			p.add(i, "source", fmt.Sprintf("%s is reserved for what Tocsin itself announces", catalog.Quote(source)))
		}
		if kind := events[i].Type; in.catalog.Category(kind) == catalog.CategoryPipeline {
			p.add(i, "type", fmt.Sprintf("%s is reserved for what Tocsin announces about its own webhooks; types of your own begin with %q", catalog.Quote(kind), "custom."))
		}
	}
}

// fingerprint is a hash of what the producer said, in whatever form it was said: the
// same event from an array and as a CloudEvent is a duplicate and no conflict. White
// space inside data counts.
func fingerprint(e *tocsin.Event) []byte {
	var room [1024]byte // of most events' text and data; it stays on the stack
	b := room[:0]
	for _, text := range [...]string{e.ID, e.Source, e.Type, e.Subject, string(e.Status), e.DedupKey, e.Title, e.Summary, e.Link} {
		b = appendText(b, text)
	}
	b = append(b, byte(e.Severity)) // #nosec G115 -- 0 to 5
	if !e.Time.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time.Unix()))       // #nosec G115 -- only hashed
		b = binary.BigEndian.AppendUint32(b, uint32(e.Time.Nanosecond())) // #nosec G115 -- below 1e9
	}
	b = appendLabels(b, e.Labels)
	b = append(b, e.Data...)
	sum := sha256.Sum256(b)
	return sum[:16]
}

// appendText writes a text so that no two series of texts are the same bytes.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendLabels(b []byte, labels map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(labels)))
	var room [8]string // as for the bytes: most events have a few
	names := room[:0]
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendText(appendText(b, name), labels[name])
	}
	return b
}

// anyRevision is older than the configuration of a new store, whose revision is 0.
const anyRevision = -1

// matcher returns a matcher by a configuration newer than stale.
func (in *Ingest) matcher(ctx context.Context, stale int64) (*matcher, error) {
	if m := in.current.Load(); m != nil && m.revision > stale {
		return m, nil
	}
	if err := in.lock(ctx); err != nil {
		return nil, err
	}
	defer in.unlock()
	if m := in.current.Load(); m != nil && m.revision > stale {
		return m, nil // somebody else was faster
	}
	return in.load(ctx)
}

// Warm reads the configuration, so that the first event does not wait for it; with
// thousands of webhooks that takes some tenths of a second. Errors are the store's.
func (in *Ingest) Warm(ctx context.Context) error {
	_, err := in.matcher(ctx, anyRevision)
	return err
}

// newest returns a matcher by the configuration as it is at some moment after the call
// began. Calls at the same time share what is read: one that waits for its turn takes what
// was read since.
func (in *Ingest) newest(ctx context.Context) (*matcher, error) {
	before := in.begun.Load()
	if err := in.lock(ctx); err != nil {
		return nil, err
	}
	defer in.unlock()
	if in.read > before {
		return in.current.Load(), nil
	}
	return in.load(ctx)
}

func (in *Ingest) lock(ctx context.Context) error {
	select {
	case in.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (in *Ingest) unlock() { <-in.loading }

// load reads the configuration, and compiles it where it is a new one. It is called with
// the lock held.
func (in *Ingest) load(ctx context.Context) (*matcher, error) {
	number := in.begun.Add(1)
	conf, err := in.store.Configuration(ctx, in.known)
	if err != nil {
		return nil, err
	}
	in.known = conf
	m := in.current.Load()
	if m == nil || m.revision != conf.Revision {
		m = compile(conf, in.catalog, in.channels, &in.filters, in.log)
		in.current.Store(m)
	}
	in.read = number
	return m, nil
}
