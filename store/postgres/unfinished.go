package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var errUnfinished = errors.New("not there yet")

func (db *DB) Announce(ctx context.Context, f tocsin.Fence, level int) error { return errUnfinished }

func (db *DB) Configuration(ctx context.Context) (c tocsin.Configuration, err error) {
	c.Revision, c.Webhooks, err = db.ListWebhooks(ctx)
	return c, err
}
func (db *DB) CreateMute(ctx context.Context, m tocsin.Mute) (tocsin.Mute, error) {
	return m, errUnfinished
}
func (db *DB) EndMute(ctx context.Context, id string) (m tocsin.Mute, err error) {
	return m, errUnfinished
}
func (db *DB) Mute(ctx context.Context, id string) (m tocsin.Mute, err error) {
	return m, errUnfinished
}
func (db *DB) ListMutes(ctx context.Context, q tocsin.MuteQuery) ([]tocsin.Mute, string, error) {
	return nil, "", errUnfinished
}
func (db *DB) MutesEnding(ctx context.Context, notice time.Duration, limit int) ([]tocsin.Mute, error) {
	return nil, errUnfinished
}
func (db *DB) MuteNoticed(ctx context.Context, id string) error { return errUnfinished }

func (db *DB) CreateReplay(ctx context.Context, r tocsin.Replay) (tocsin.Replay, error) {
	return r, errUnfinished
}
func (db *DB) Replay(ctx context.Context, id string) (r tocsin.Replay, err error) {
	return r, errUnfinished
}
func (db *DB) ListReplays(ctx context.Context, p tocsin.Page) ([]tocsin.Replay, string, error) {
	return nil, "", errUnfinished
}
func (db *DB) SetReplayState(ctx context.Context, id string, to tocsin.ReplayState, reason string) (r tocsin.Replay, err error) {
	return r, errUnfinished
}
func (db *DB) ReplayCandidates(ctx context.Context, s tocsin.ReplaySelection, cursor string, limit int) (c tocsin.ReplayCandidates, err error) {
	return c, errUnfinished
}
func (db *DB) ReplayStep(ctx context.Context, id string, step tocsin.ReplayStep) (r tocsin.Replay, err error) {
	return r, errUnfinished
}
