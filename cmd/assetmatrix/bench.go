package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
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
				return noScenario(args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.SetFlagErrorFunc(func(of *cobra.Command, err error) error {
		if name := of.Flags().Arg(0); of == cmd && name != "" { // before the flag, which only a scenario has
			return noScenario(name)
		}
		return usageError{plainly(err)}
	})
	for _, s := range bench.Scenarios() {
		cmd.AddCommand(scenarioCommand(s))
	}
	cmd.AddCommand(recordCommand())
	return cmd
}

func noScenario(name string) error {
	return usageError{fmt.Errorf("there is no scenario %q; there are %s", name, scenarioNames())}
}

func recordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "record [ACCESS_LOG...]",
		Short: "make a trace of access logs, for mixed --trace; of standard input when none is named",
		Long: `Make a trace of access logs, and write it to standard output. The logs are assetmatrix's own (JSON lines), or in the Common
Log Format and what begins like it, as nginx, Apache and Varnish write them. A trace has a line for each GET that was
answered with less than 400: {"at_ms":0,"path":"/shop/w=400/hero.jpg"}.`,
		Example: "  assetmatrix bench record access.log > day.trace\n  assetmatrix bench mixed --trace day.trace",
		RunE: func(cmd *cobra.Command, args []string) error {
			logs, end, err := openAll(args, cmd.InOrStdin())
			if err != nil {
				return usageError{err}
			}
			defer end()
			taken, lines, err := bench.Record(cmd.OutOrStdout(), logs...)
			if errors.Is(err, bench.ErrAsked) {
				return usageError{err}
			}
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d requests of %d lines\n", taken, lines)
			}
			return err
		},
	}
}

// openAll opens files, or takes in when none is named.
func openAll(names []string, in io.Reader) (readers []io.Reader, end func(), err error) {
	var files []*os.File
	end = func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}
	for _, name := range names {
		f, err := openFile(name)
		if err != nil {
			end()
			return nil, nil, err
		}
		files, readers = append(files, f), append(readers, f)
	}
	if len(names) == 0 {
		readers = []io.Reader{in}
	}
	return readers, end, nil
}

// openFile opens what is no directory.
func openFile(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; give the access logs in it", name)
	}
	return os.Open(name)
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
	var from remote
	var peers []string
	cmd := &cobra.Command{
		Use:   s.Name,
		Short: s.Short,
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(conflict(cmd, o), choose(&o, from, peers)); err != nil {
				return usageError{err}
			}
			page, err := newPage(html)
			if err != nil {
				return usageError{fmt.Errorf("--html: %w", err)}
			}
			defer page.discard()
			report, err := measure(cmd, s, o)
			if err != nil {
				return err
			}
			return errors.Join(printReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), report, asJSON), page.write(report))
		},
	}
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "a size that ends within a minute")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: scenario, environment, figures")
	cmd.Flags().StringVar(&html, "html", "", "a file for a page with figures, tables and plots")
	cmd.Flags().StringVar(&o.Dir, "dir", ".", "where the data is written until the end, on a real disk")
	if s.Takes&bench.TakesTarget != 0 {
		cmd.Flags().StringVar(&o.Target, "target", "", "the URL of a running front door to measure, in the place of a server that is started")
		from.serverFlags(cmd)
	}
	if s.Takes&bench.TakesPeers != 0 {
		cmd.Flags().StringArrayVar(&peers, "peer", nil, "NAME=BASEURL of a rival to measure by turns: "+strings.Join(bench.PeerNames(), ", "))
		cmd.Flags().StringVar(&o.Origin, "origin", "", "the address at which peers fetch originals (any on loopback)")
	}
	if s.Takes&bench.TakesCorpus != 0 {
		cmd.Flags().StringVar(&o.Corpus, "corpus", "", "a directory with pictures, in the place of drawn ones")
	}
	if s.Takes&bench.TakesTrace != 0 {
		cmd.Flags().StringVar(&o.Trace, "trace", "", "a trace to replay, which bench record has made of an access log")
	}
	if s.Takes&bench.TakesRate != 0 {
		cmd.Flags().Float64Var(&o.Rate, "rate", 0, "requests a second that an open load offers (what suits the machine)")
	}
	if s.Takes&bench.TakesLasts != 0 {
		cmd.Flags().DurationVar(&o.Lasts, "lasts", 0, "how long it goes on (1h, with --quick half a minute)")
	}
	return cmd
}

// conflict says of flags that mean nothing without others, or nothing at all.
func conflict(cmd *cobra.Command, o bench.Options) error {
	for _, name := range []string{"server", "token-file"} {
		if cmd.Flags().Changed(name) && o.Target == "" {
			return fmt.Errorf("--%s is given without --target, the URL of the front door that is measured", name)
		}
	}
	for _, name := range []string{"target", "corpus", "trace", "origin", "html", "dir"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return fmt.Errorf("--%s is given, but empty; give a value, or leave it out", name)
		}
	}
	if cmd.Flags().Changed("rate") && o.Rate == 0 {
		return errors.New("--rate is 0; give requests a second, or leave it out")
	}
	return nil
}

// choose fills in what the flags say of servers.
func choose(o *bench.Options, from remote, peers []string) (err error) {
	for _, text := range peers {
		peer, err := bench.ParsePeer(text)
		if err != nil {
			return fmt.Errorf("--peer: %w", err)
		}
		o.Peers = append(o.Peers, peer)
	}
	if o.Target == "" {
		return nil
	}
	if o.Target, err = bench.ParseBase(o.Target); err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	o.Server = from.server
	o.Token, err = from.token()
	return err
}

// printReport prints what a person reads, or what a program reads and, for the person beside it, the notes.
func printReport(out, errs io.Writer, report bench.Report, asJSON bool) error {
	if !asJSON {
		return report.Print(out)
	}
	for _, note := range report.Notes {
		fmt.Fprintln(errs, note)
	}
	return printJSON(out, report)
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
	ctx := cmd.Context()
	if !signal.Ignored(syscall.SIGHUP) { // as nohup(1) has it
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal is closed
		defer stop()
	}
	report, err := s.Run(ctx, o)
	if errors.Is(err, bench.ErrAsked) {
		err = usageError{err}
	}
	return report, err
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
