package inbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxFrame is the longest syslog message taken.
const maxFrame = 1 << 20

// ListenSyslog takes syslog messages for name over TCP, by counted octets
// (https://www.rfc-editor.org/rfc/rfc6587#section-3.4.1), on a loopback address. close
// ends it.
func (i *Inbox) ListenSyslog(name, address string) (addr string, closed func() error, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("listening for syslog: %w", err)
	}
	s := &syslogListener{inbox: i, name: name, open: map[net.Conn]bool{}}
	s.serving.Go(func() { s.serve(l) })
	return l.Addr().String(), func() error {
		err := l.Close()
		s.closeAll()
		s.serving.Wait()
		return err
	}, nil
}

type syslogListener struct {
	inbox   *Inbox
	name    string
	serving sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // nil once closed
}

func (s *syslogListener) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.open == nil {
			s.mu.Unlock()
			_ = conn.Close() // nobody waits for it any more
			return
		}
		s.open[conn] = true
		s.mu.Unlock()
		s.serving.Go(func() {
			s.read(conn)
			_ = conn.Close() // its peer is gone, or speaks something else
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, conn)
		})
	}
}

func (s *syslogListener) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close() // which ends its reader
	}
	s.open = nil
}

// read takes frames until the peer closes, or sends what is none.
func (s *syslogListener) read(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		if conn.SetReadDeadline(time.Now().Add(shortly)) != nil {
			return
		}
		length, err := r.ReadSlice(' ') // within the reader's buffer
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(string(length), " "))
		if err != nil || n < 1 || n > maxFrame {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		s.inbox.Take(s.name, "SYSLOG", conn.RemoteAddr().String(), string(frame))
	}
}
