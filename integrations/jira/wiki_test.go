package jira_test

// wikiTricks are texts that wiki markup, the people it names or Jira itself would act on:
// https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
var wikiTricks = []string{
	"*bold* _it_ ??cite?? -del- +ins+ ^sup^ ~sub~ {{mono}} {*}x{*}",
	"h1. heading", "  h2. indented", "bq. quoted", "----", "---- ", "# one", "* item", "- item", "|cell|", "||head||",
	"[~admin] [~accountid:5b10] @admin [^file.txt] [#anchor] [mailto:a@b.example]", "[words|https://evil.example] [https://evil.example]",
	"https://evil.example/x http://evil.example mailto:a@b.example ftp://evil.example file:///etc/passwd skype:evil",
	"!https://evil.example/x.png! !file.png|thumbnail! {color:red}red{color} {quote}q{quote} {panel:title=x}p{panel}",
	"{code}c{code} {noformat}n{noformat} {NOFORMAT}n{NoFormat} {noformat:title=x}n {anchor:x} {adf}{\"type\":\"doc\"}{adf} {loremipsum}",
	`\*x\* \\ \\* \{noformat} \\[~admin] c:\temp\*.* \`, ":) :( :P :D ;) (y) (n) (i) (/) (x) (!) (+) (-) (?) (on) (off) (*) (*r) (flag)",
	"&lt;b&gt; &#91;~admin&#93; &amp;", "-- --- (c) (tm)", "SEC-1 ABC-22", "{noformat", "noformat}", "}{noformat}{",
}
