package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
--dir and removed at the end; it must be on a real disk, as durable writes are a part of what is measured.

--html writes a page with plots of what is behind the figures. It needs nothing but itself, and has its name only when
everything was measured.`,
		Example: "  assetmatrix bench commits --quick\n  assetmatrix bench sync --json > sync.json\n" +
			"  assetmatrix bench sync --html sync.html",
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
	var html string
	cmd := &cobra.Command{
		Use:   s.Name,
		Short: s.Short,
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := newPage(html)
			if err != nil {
				return usageError{fmt.Errorf("--html: %w", err)}
			}
			defer page.discard()
			report, err := measure(cmd, s, o)
			if err != nil {
				return err
			}
			return errors.Join(printReport(cmd.OutOrStdout(), report, asJSON), page.write(report))
		},
	}
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "a size that ends within a minute")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: scenario, environment, figures")
	cmd.Flags().StringVar(&html, "html", "", "a file for a page with figures, tables and plots")
	cmd.Flags().StringVar(&o.Dir, "dir", ".", "where the data is written until the end, on a real disk")
	return cmd
}

func printReport(out io.Writer, report bench.Report, asJSON bool) error {
	if asJSON {
		return printJSON(out, report)
	}
	return report.Print(out)
}

// A page is a file that is begun before the measurement, so that a place that cannot be written is not found at its end,
// and has its name only when it is whole. A nil page is none.
type page struct {
	path string
	file *os.File
}

func newPage(path string) (*page, error) {
	if path == "" {
		return nil, nil
	}
	if there, err := os.Lstat(path); err == nil && !there.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file that a page could replace", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return nil, err
	}
	return &page{path, file}, nil
}

// write gives the page what it is for, and its name.
func (p *page) write(report bench.Report) error {
	if p == nil {
		return nil
	}
	err := report.HTML(p.file)
	if err == nil {
		err = errors.Join(p.file.Chmod(0o644), p.file.Sync())
	}
	if err = errors.Join(err, p.file.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(p.file.Name(), p.path), syncDir(filepath.Dir(p.path)))
}

// discard removes what did not become a page.
func (p *page) discard() {
	if p != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name()) // gone, when it has got its name
	}
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
