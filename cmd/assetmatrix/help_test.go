package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command shows an example, and each example, here and in the documentation, is a command line that is understood.
func TestExamples(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if parent := cmd.CommandPath(); !strings.HasPrefix(parent, "assetmatrix bench ") && cmd.HasParent() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		understood(t, cmd.CommandPath(), cmd.Example)
		if value := oddValues.FindString(cmd.Flags().FlagUsages()); value != "" {
			t.Errorf("%s shows a value of several words: %s", cmd.CommandPath(), value)
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(command())
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		understood(t, "operations.md", string(block[1]))
	}
}

var (
	oddValues     = regexp.MustCompile(`(?m)^ +(?:-\w, )?--\S+ \S+ \S.*$`) // cobra takes what stands in backticks for the value's name
	substitutions = regexp.MustCompile(`\$\([^)]*\)`)
	commandLines  = regexp.MustCompile(`(?m)(?:^|[|;!] |until |timeout 2 |=\S+ )\s*assetmatrix (.*?)(?:\s*(?:[|#;&>]|2>).*)?$`)
)

// understood fails for each command line in text that would end with a usage error of flags or arguments.
func understood(t *testing.T, where, text string) {
	t.Helper()
	for _, line := range commandLines.FindAllStringSubmatch(substitutions.ReplaceAllString(text, "x"), -1) {
		args := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line[1]))
		cmd, rest, err := command().Find(args)
		if err == nil {
			cmd.InitDefaultHelpFlag()
			err = cmd.ParseFlags(rest)
		}
		if err == nil && !slices.Contains(args, "--help") {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || cmd.Name() == "assetmatrix" {
			t.Errorf("%s: %q: %v", where, line[1], err)
		}
	}
}
