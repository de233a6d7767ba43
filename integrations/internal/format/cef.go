package format

import (
	"math"
	"strconv"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// The facts about CEF are of the CEF Implementation Standard, chapters 1 and 2:
// https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-25.1/cef-implementation-standard/Content/CEF/Chapter%201%20What%20is%20CEF.htm
// https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-25.1/cef-implementation-standard/Content/CEF/Chapter%202%20ArcSight%20Extension.htm

// cefSeverity is CEF's scale: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high.
var cefSeverity = map[tocsin.Severity]string{
	tocsin.SeverityInfo: "1", tocsin.SeverityLow: "3", tocsin.SeverityMedium: "5", tocsin.SeverityHigh: "8", tocsin.SeverityCritical: "10",
}

// In the header | and \ are escaped, and there are no line breaks. In values of the
// extension \ and = are, and line breaks are written \n; | is not escaped there.
var (
	cefHeader = strings.NewReplacer(`\`, `\\`, "|", `\|`, "\n", " ")
	cefValue  = strings.NewReplacer(`\`, `\\`, "=", `\=`, "\n", `\n`)
)

// CEF is the event as one line of CEF version 0, which every receiver reads. version is
// Tocsin's own.
func CEF(e *tocsin.Event, version string) string {
	text, _ := CEFWithin(e, version, math.MaxInt)
	return text
}

// CEFWithin is CEF in at most limit bytes. It first drops data, then shortens and drops
// msg, then the less important keys, and shortens the name at last. A limit of 512 holds
// for any event. It reports whether something was shortened or left out, for this limit or
// for the lengths of CEF's dictionary.
func CEFWithin(e *tocsin.Event, version string, limit int) (string, bool) {
	severity := cefSeverity[e.Severity]
	if severity == "" {
		severity = "Unknown"
	}
	class, classCut := oneText(e.Type, min(255, limit/4))
	name, nameCut := oneText(line(titleOf(e)), 512)
	version, _ = oneText(version, 31)
	p := cefPairs(e)
	s := syntax{
		head: func(name string) string {
			fields := []string{"CEF:0", vendorName, productName, version, class, name, severity}
			for i, f := range fields {
				fields[i] = cefHeader.Replace(f)
			}
			return strings.Join(fields, "|") + "|"
		},
		body: cefExtension, escape: cefValue.Replace,
	}
	text, cut := s.write(name, p.list, limit)
	return text, cut || p.cut || classCut || nameCut
}

// cefExtension writes key=value pairs with a space between.
func cefExtension(list []pair) string {
	parts := make([]string, 0, 2*len(list))
	for _, p := range list {
		if p.label != "" {
			parts = append(parts, p.key+"Label="+cefValue.Replace(p.label))
		}
		parts = append(parts, p.key+"="+cefValue.Replace(p.value))
	}
	return strings.Join(parts, " ")
}

// cefPairs are the keys of CEF's dictionary that an event has something for, each with the
// length of the dictionary.
func cefPairs(e *tocsin.Event) pairs {
	d, p := dataOf(e), pairs{}
	addr, name := who(d)
	p.add("externalId", externalID(e, 40), 40, "")
	if !e.Time.IsZero() {
		p.add("rt", strconv.FormatInt(e.Time.UnixMilli(), 10), 0, "")
	}
	p.add("cs2", statusOf(e), 4000, "status")
	p.add("cs1", alert.DedupKey(e), 4000, "dedupKey")
	p.add("deviceExternalId", e.Source, 255, "")
	p.add("cat", catalogue.Category(e.Type), 1023, "")
	switch {
	case addr.Is4():
		p.add("src", addr.String(), 0, "")
	case addr.Is6(): // src takes IPv4 only
		p.add("c6a1", addr.String(), 0, "Source IPv6 Address")
	}
	p.add("suser", name, 1023, "")
	p.add("requestMethod", d.text("method"), 1023, "")
	p.add("request", d.text("url"), 1023, "")
	p.add("cs3", e.Subject, 4000, "subject")
	p.add("cs4", alert.Link(e), 4000, "link")
	p.add("cs5", e.Collection(), 4000, "collection")
	p.add("msg", e.Summary, 1023, "")
	p.add("cs6", compact(e), 4000, "data")
	return p
}
