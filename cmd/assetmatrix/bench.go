package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assetmatrix/assetmatrix/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench SCENARIO",
		Short: "Measure what is promised, against a server that it starts itself",
		Long: `Measure what is promised, against a server that it starts itself, and print the figures beside their targets.

A missed target is a figure like any other: the exit status is 0 when everything was measured, 1 when something could
not be, or did not hold (an acknowledged write that was lost), 2 when it was asked wrongly. The data is written below
--dir and removed at the end; it must be on a real disk, as durable writes are a part of what is measured.`,
		Example: "  assetmatrix bench commits --quick\n  assetmatrix bench sync --json > sync.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no scenario %q; there are %s", args[0], scenarioNames())}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	for _, s := range bench.Scenarios() {
		cmd.AddCommand(scenarioCommand(s))
	}
	return cmd
}

func scenarioNames() string {
	var names []string
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func scenarioCommand(s bench.Scenario) *cobra.Command {
	var o bench.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   s.Name,
		Short: s.Short,
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := measure(cmd, s, o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return report.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "a size that ends within a minute")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: scenario, environment, figures")
	cmd.Flags().StringVar(&o.Dir, "dir", ".", "where the data is written until the end, on a real disk")
	return cmd
}

// measure runs the scenario and says on standard error how far it is.
func measure(cmd *cobra.Command, s bench.Scenario, o bench.Options) (bench.Report, error) {
	kind, err := bench.FileSystem(cmp.Or(o.Dir, "."))
	if err != nil {
		return bench.Report{}, usageError{fmt.Errorf("--dir: %w", err)}
	}
	if kind == "tmpfs" || kind == "ramfs" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is in memory (%s), where a write that is flushed costs nothing and survives nothing; give --dir a directory on a disk\n", o.Dir, kind)
	}
	p := newSteps(cmd.ErrOrStderr())
	defer p.end()
	o.Version, o.Progress = version, p.show
	return s.Run(cmd.Context(), o)
}

// steps show how far a run is: with a bar for each step on a terminal, elsewhere with a line.
type steps struct {
	out   io.Writer
	draws bool
	step  string
	bar   *progressbar.ProgressBar
}

func newSteps(out io.Writer) *steps {
	screen, ok := out.(*os.File)
	return &steps{out: out, draws: ok && term.IsTerminal(int(screen.Fd()))}
}

func (s *steps) show(p bench.Progress) {
	if p.Step != s.step {
		s.end()
		s.begin(p)
	}
	if s.bar != nil {
		_ = s.bar.Set(max(0, min(p.Done, p.Total-1))) // full, it would be gone; end takes it away
	}
}

func (s *steps) begin(p bench.Progress) {
	s.step = p.Step
	if !s.draws {
		fmt.Fprintln(s.out, p.Step)
		return
	}
	s.bar = progressbar.NewOptions(max(p.Total, 1),
		progressbar.OptionSetWriter(s.out), progressbar.OptionSetDescription(p.Step), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false))
}

// end takes the bar off the screen.
func (s *steps) end() {
	if s.bar != nil {
		_ = s.bar.Finish()
		s.bar = nil
	}
}
