// Package integrationtest is the conformance suite of channels. A channel exists only
// if its tests call [Run]; a test in package integrations fails for one whose tests do
// not.
//
//	func TestChannel(t *testing.T) {
//		integrationtest.Run(t, integrationtest.Spec{
//			New:     func(c *post.Client, log *slog.Logger) tocsin.Channel { return slack.New(c, log) },
//			Config:  func(url string) string { return `{"url":"` + url + `/services/T0/B0/token"}` },
//			Secrets: []string{"token"},
//			Accept:  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") },
//		})
//	}
//
// The suite brings its own events ([Events]): one of every alert type, threats, hostile
// text and long text in other scripts. What a channel makes of them is compared with
// testdata/golden/<case>.json of the channel's folder; run the tests with -update to
// write these files, and look at them.
package integrationtest
