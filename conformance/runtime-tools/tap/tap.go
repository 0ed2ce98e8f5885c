// Package tap writes the Test Anything Protocol, version 13: as much of it as the validation suite calls.
// It takes the place of the module that the suite names, which no Debian package holds.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// T is a stream of results, made by New.
type T struct {
	// Writer is where results go.
	Writer io.Writer
	count  *int
	todo   bool
}

// New writes to standard output.
func New() *T {
	return &T{Writer: os.Stdout, count: new(int)}
}

// Header begins the stream; a plan of 0 tests means that AutoPlan will tell at the end.
func (t *T) Header(planned int) {
	t.line("TAP version 13")
	if planned > 0 {
		t.line("1..%d", planned)
	}
}

// AutoPlan ends the stream with the number of results that it had.
func (t *T) AutoPlan() {
	t.line("1..%d", *t.count)
}

// Ok is one result.
func (t *T) Ok(passed bool, description string) {
	if t.todo {
		t.result(passed, "# TODO "+oneLine(description))
	} else {
		t.result(passed, "- "+oneLine(description))
	}
}

// Todo is the same stream for results that the suite does not hold against a runtime.
func (t *T) Todo() *T {
	return &T{Writer: t.Writer, count: t.count, todo: true}
}

// Pass is a result that is good.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail is a result that is not.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip reports results that were not tried.
func (t *T) Skip(count int, why string) {
	for i := 0; i < count; i++ {
		t.result(true, "# SKIP "+oneLine(why))
	}
}

// Diagnostic is a comment, each line of it marked.
func (t *T) Diagnostic(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		t.line("# %s", line)
	}
}

// Diagnosticf is Diagnostic with a format.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML explains the result before it; JSON is a subset of YAML.
func (t *T) YAML(value interface{}) error {
	text, err := json.MarshalIndent(value, "  ", "  ")
	if err != nil {
		return err
	}
	t.line("  ---\n  %s\n  ...", text)
	return nil
}

func (t *T) result(passed bool, rest string) {
	*t.count++
	word := "ok"
	if !passed {
		word = "not ok"
	}
	t.line("%s %d %s", word, *t.count, rest)
}

func (t *T) line(format string, values ...interface{}) {
	fmt.Fprintf(t.Writer, format+"\n", values...)
}

// A result is one line of the protocol, whatever an error's text holds.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
