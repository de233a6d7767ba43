package syslog

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleConnectionIsClosed: senders have no Close, so a connection that nobody uses
// ends by itself, and one that is used does not.
func TestIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(nil, config{})
		ours, theirs := net.Pipe()
		<-l.turn
		l.conn = &wire{Conn: ours, last: time.Now()}
		l.closeWhenIdle()
		l.turn <- struct{}{}
		over := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			_, _ = io.Copy(io.Discard, theirs)
			over <- time.Since(began)
		}()

		time.Sleep(idleTime - time.Second)
		<-l.turn // it is used once more
		l.conn.last = time.Now()
		l.closeWhenIdle()
		l.turn <- struct{}{}

		time.Sleep(idleTime - time.Second)
		<-l.turn // and is in use when the timer rings
		time.Sleep(2 * time.Second)
		if l.conn == nil {
			t.Fatal("closed while in use")
		}
		l.conn.last = time.Now()
		l.closeWhenIdle()
		l.turn <- struct{}{}
		if after := <-over; after != 3*idleTime {
			t.Errorf("closed after %s, want %s", after, 3*idleTime)
		}
		if synctest.Wait(); l.conn != nil {
			t.Error("the connection is still kept")
		}
	})
}
