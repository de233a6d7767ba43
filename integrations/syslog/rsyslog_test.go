//go:build linux

package syslog_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// rsyslogConfig takes messages over everything and passes on what rsyslog made of them, one
// JSON object a line, through a pipe.
const rsyslogConfig = `
global(processInternalMessages="on" workDirectory="%[1]s" maxMessageSize="256k" parser.permitSlashInProgramName="on"
  defaultNetstreamDriverCAFile="%[1]s/cert.pem" defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imtcp")
module(load="imudp")
template(name="read" type="list" option.jsonf="on") {
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="sd" name="structured-data" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}
ruleset(name="all") { action(type="ompipe" pipe="%[1]s/pipe" template="read") }
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="%[1]s/tcp" ruleset="all")
%[2]s
input(type="imudp" port="%[3]d" address="127.0.0.1" ruleset="all")
action(type="ompipe" pipe="%[1]s/pipe" template="read")
`

const rsyslogTLS = `input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="%s/tls" ruleset="all"
  streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")`

// rsyslog is a running rsyslogd.
type rsyslog struct {
	id            identity
	tcp, tls, udp string
	out           *os.File
	lines         *bufio.Reader
}

// startRsyslog runs the system's rsyslogd on ports of its own, or skips the test.
func startRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Skip("rsyslogd is not installed; apt-get install rsyslog rsyslog-gnutls to run this test")
		}
	}
	dir := t.TempDir()
	r := &rsyslog{id: newIdentity(t)}
	write(t, filepath.Join(dir, "cert.pem"), r.id.cert)
	write(t, filepath.Join(dir, "key.pem"), r.id.key)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// For reading and writing, so that it has no end while rsyslogd is not there. rsyslogd
	// drops what does not fit into a pipe, so it gets the largest.
	if r.out, err = os.OpenFile(pipe, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.out.Close() })
	r.lines = bufio.NewReader(r.out)
	enlarge(t, r.out)

	withTLS := ""
	if drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so"); len(drivers) > 0 {
		withTLS = fmt.Sprintf(rsyslogTLS, dir)
	}
	udp := freeUDP(t)
	r.udp = fmt.Sprintf("127.0.0.1:%d", udp)
	write(t, filepath.Join(dir, "conf"), fmt.Sprintf(rsyslogConfig, dir, withTLS, udp))
	var said strings.Builder
	cmd := exec.Command(program, "-n", "-iNONE", "-f", filepath.Join(dir, "conf"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ends is of no interest
		if t.Failed() {
			t.Logf("rsyslogd said: %s", &said)
		}
	})
	for !strings.Contains(r.line(t), " start") { // what it says of itself, once it listens
	}
	r.tcp = "127.0.0.1:" + read(t, filepath.Join(dir, "tcp"))
	if withTLS != "" {
		r.tls = "127.0.0.1:" + read(t, filepath.Join(dir, "tls"))
	}
	return r
}

func (r *rsyslog) line(t *testing.T) string {
	t.Helper()
	if err := r.out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	line, err := r.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("waiting for rsyslogd: %v", err)
	}
	return line
}

// enlarge makes a pipe hold 1 MiB.
func enlarge(t *testing.T, pipe *os.File) {
	t.Helper()
	const setPipeSize = 1031 // F_SETPIPE_SZ, see fcntl(2)
	raw, err := pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed syscall.Errno
	if err := raw.Control(func(fd uintptr) { _, _, failed = syscall.Syscall(syscall.SYS_FCNTL, fd, setPipeSize, 1<<20) }); err != nil || failed != 0 {
		t.Fatalf("enlarging the pipe: %v, %v", err, failed)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

func freeUDP(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it was only asked for its number
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// TestRsyslog sends every event of the suite, the hostile ones too, over every transport
// and in every format to a real receiver, and compares what it understood with what our
// own parser did: one message for each event, and every field the same.
func TestRsyslog(t *testing.T) {
	r := startRsyslog(t)
	transports := map[string]map[string]any{
		"udp":         {"address": r.udp, "transport": "udp"},
		"tcp":         {"address": r.tcp, "transport": "tcp", "max_bytes": 100_000},
		"tcp newline": {"address": r.tcp, "transport": "tcp", "framing": "newline", "max_bytes": 100_000},
	}
	if r.tls == "" {
		t.Log("rsyslog-gnutls is not installed, so TLS is left out")
	} else {
		transports["tls"] = map[string]any{"address": r.tls, "ca_cert": r.id.cert, "client_cert": r.id.cert, "client_key": r.id.key}
		transports["tls newline"] = map[string]any{"address": r.tls, "ca_cert": r.id.cert, "client_cert": r.id.cert, "client_key": r.id.key, "framing": "newline"}
	}
	for name, config := range transports {
		for _, format := range []string{"json", "cef", "leef", "ocsf", "cloudevents"} {
			t.Run(name+" "+format, func(t *testing.T) {
				config["format"] = format
				r.roundTrip(t, open(t, 0, config), config)
			})
		}
	}
}

func (r *rsyslog) roundTrip(t *testing.T, s tocsin.Sender, config map[string]any) {
	n := integrationtest.Notify(integrationtest.Events(t)...)
	preview, err := s.Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	switch {
	case config["transport"] == "udp", config["framing"] == "newline":
		texts, err = lines(strings.TrimSuffix(preview[0].RequestBody, "\n") + "\n")
	default:
		texts, err = frames(preview[0].RequestBody)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for i, want := range parseAll(t, texts) {
		var got struct{ Pri, Time, Host, App, MsgID, SD, Msg string }
		if line := r.line(t); json.Unmarshal([]byte(line), &got) != nil {
			t.Fatalf("rsyslogd wrote %q", line)
		}
		if fmt.Sprint(want.priority) != got.Pri || want.host != got.Host || want.app != got.App || want.messageID != got.MsgID || want.timestamp != got.Time {
			t.Errorf("header of %s: sent %+v, read %+v", n.Events[i].ID, want, got)
		}
		sd, err := parseMessage("<13>1 - - - - - " + got.SD + " ")
		if err != nil || sd.sdID != want.sdID || fmt.Sprint(sd.params) != fmt.Sprint(want.params) {
			t.Errorf("structured data of %s: sent %v, read %q (%v)", n.Events[i].ID, want.params, got.SD, err)
		}
		if want.body != got.Msg {
			t.Errorf("message of %s: sent %q, read %q", n.Events[i].ID, want.body, got.Msg)
		}
	}
}
