package integrations_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// usable is what a channel may take from packages that can reach the network. A name
// that ends with * stands for all that begin so. Everything else of them goes through
// internal/post, which alone checks addresses.
var usable = map[string][]string{
	"net/http":                          {"Header", "Status*", "Method*", "CanonicalHeaderKey", "ParseTime", "TimeFormat", "Request", "Response"},
	"net":                               {"Conn", "Error", "JoinHostPort"},
	"net/netip":                         {"*"},
	"net/url":                           {"*"},
	"net/textproto":                     {"CanonicalMIMEHeaderKey", "MIMEHeader", "Error"},
	"crypto/tls":                        {"Client", "ClientSessionState", "ConnectionState", "VersionName", "VersionTLS13"},
	"github.com/PagerDuty/go-pagerduty": {"V2Event", "V2Payload", "ChangeEvent", "ChangeEventPayload", "ChangeEventLink", "EventsAPIV2Error"},
	"github.com/andygrunwald/go-jira":   {"NewClient", "Client", "Issue*", "Comments", "Component", "Error", "GetQueryOptions", "Priority", "Project", "SearchOptions*", "Transition"},
	"github.com/slack-go/slack":         {"*Accessory", "*Block", "*BlockElement", "*BlockObject", "Blocks", "WebhookMessage", "MarkdownType", "PlainTextType"},
	"github.com/wneessen/go-mail":       {"NewMsg", "WithNoDefaultUserAgent", "WithEncoding", "Msg", "Header*", "Type*", "EncodingQP", "ImportanceHigh"},
	"github.com/wneessen/go-mail/log":   {"Log", "DirClientToServer"},
	"github.com/wneessen/go-mail/smtp":  {"NewClient", "Client", "Auth", "PlainAuth", "LoginAuth", "XOAuth2Auth", "DataCloser"},
	"github.com/tocsin-alerts":          {"*"},
}

// silent are the standard packages that cannot reach anything. A package on neither
// list needs a look, and a line here.
var silent = []string{
	"bytes", "cmp", "compress/gzip", "context", "crypto/ed25519", "crypto/hmac", "crypto/rand", "crypto/sha256", "embed", "encoding/base64", "encoding/hex", "encoding/json",
	"errors", "fmt", "html", "html/template", "io", "iter", "log/slog", "maps", "math", "mime", "mime/multipart", "mime/quotedprintable", "net/mail", "reflect", "regexp", "slices", "sort",
	"strconv", "strings", "sync", "sync/atomic", "text/template", "text/template/parse", "time", "unicode", "unicode/utf16", "unicode/utf8",
}

// reach lists what a file takes that it may not.
func reach(set *token.FileSet, name string, source any) ([]string, error) {
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var bad []string
	allowed := map[string][]string{} // by the name in this file
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		names, known := rule(path)
		local := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
		switch {
		case slices.Contains(silent, path):
		case !known:
			bad = append(bad, path)
		case local == "." || local == "_" && path != "embed":
			bad = append(bad, local+" "+path)
		default:
			allowed[local] = names
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				if names, known := allowed[x.Name]; known && !slices.ContainsFunc(names, func(p string) bool { return fits(p, s.Sel.Name) }) {
					bad = append(bad, x.Name+"."+s.Sel.Name)
				}
			}
		}
		return true
	})
	return bad, nil
}

// rule finds the line for a package, or for the module or owner it is of.
func rule(path string) ([]string, bool) {
	for at := path; ; {
		if names, ok := usable[at]; ok && (at == path || strings.Contains(at, ".")) {
			return names, true
		}
		cut := strings.LastIndex(at, "/")
		if cut < 0 {
			return nil, false
		}
		at = at[:cut]
	}
}

// fits matches a name with a pattern of at most one star.
func fits(pattern, name string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	return len(name) >= len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

// TestOnlyPostReachesTheNetwork reads every channel's code.
func TestOnlyPostReachesTheNetwork(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// The suite and tests play the receiver.
		if d.IsDir() && (path == "internal/post" || path == "integrationtest") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		bad, err := reach(token.NewFileSet(), path, nil)
		if len(bad) > 0 {
			t.Errorf("%s takes %s: a channel reaches the network through internal/post alone", path, strings.Join(bad, ", "))
		}
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestReachIsNoticed shows that the rule bites.
func TestReachIsNoticed(t *testing.T) {
	for want, body := range map[string]string{
		"http.DefaultClient":    `import "net/http"; var _, _ = http.DefaultClient.Get("http://h")`,
		"http.DefaultTransport": `import "net/http"; var _ = http.DefaultTransport`,
		"http.Client":           `import "net/http"; var c http.Client`,
		"h.Transport":           `import h "net/http"; var c = &h.Transport{}`,
		"http.PostForm":         `import "net/http"; var f = http.PostForm`,
		"net.Dial":              `import "net"; var f = net.Dial`,
		"net.Dialer":            `import "net"; var d net.Dialer`,
		"tls.Dial":              `import "crypto/tls"; var f = tls.Dial`,
		". net/http":            `import . "net/http"; var c Client`,
		"net/smtp":              `import "net/smtp"; var f = smtp.SendMail`,
		"log/syslog":            `import "log/syslog"; var f = syslog.Dial`,
		"os/exec":               `import "os/exec"; var f = exec.Command`,
		"syscall":               `import "syscall"; var f = syscall.Connect`,
		"unsafe":                `import "unsafe"; var p unsafe.Pointer`,
		"slack.New":             `import "github.com/slack-go/slack"; var c = slack.New("t")`,
		"slack.PostWebhook":     `import "github.com/slack-go/slack"; var f = slack.PostWebhook`,
		"github.com/x/y":        `import "github.com/x/y"; var f = y.Z`,
	} {
		bad, err := reach(token.NewFileSet(), "x.go", "package x\n"+strings.ReplaceAll(body, "; ", "\n"))
		if err != nil || fmt.Sprint(bad) != "["+want+"]" {
			t.Errorf("%s: got %v, %v", want, bad, err)
		}
	}
	if bad, err := reach(token.NewFileSet(), "x.go", "package x\nimport \"net/http\"\nvar h http.Header\nconst s = http.StatusOK\nconst m = http.MethodPost"); err != nil || bad != nil {
		t.Errorf("harmless names: got %v, %v", bad, err)
	}
}
