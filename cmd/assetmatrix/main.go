// Command assetmatrix stores a company's pictures and files once, and delivers each to every product in the shape that
// the product asks for by URL. `assetmatrix --help` lists what it does.
//
// Its one invariant: it exits with 0 when it did what was asked, with 1 when that failed, and with 2 when it was asked
// wrongly; what went wrong is on standard error, and standard output holds results alone.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/assetmatrix/assetmatrix"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/transform"
)

// version is set by the linker.
var version = "unknown"

func main() {
	if len(os.Args) == 2 && os.Args[1] == assetmatrix.WorkerCommand {
		os.Exit(work())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// work renders what the server on the other end of descriptor 3 asks for.
func work() int {
	if err := transform.Work(os.NewFile(3, "render-socket")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// run does what args ask for and returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errs, "assetmatrix:", err)
	if _, wrong := errors.AsType[usageError](err); wrong {
		return 2
	}
	return 1
}

// A usageError is a command line that cannot be understood.
type usageError struct{ error }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "assetmatrix",
		Short:         "One place for every picture and file, delivered to each product in the shape it asks for",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; see assetmatrix --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{plainly(err)} })
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Server", []*cobra.Command{serveCommand(), checkCommand(), restoreCommand(), benchCommand()}},
		{"Assets", append([]*cobra.Command{putCommand(), getCommand(), listCommand(), linkCommand(), unlinkCommand(), deleteCommand(), urlCommand(), resolveCommand()}, stateCommands()...)},
		{"The matrix", []*cobra.Command{productsCommand(), transactCommand(), changesCommand(), purgeCommand(), garbageCommand(), replicasCommand(), backupCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.AddCommand(versionCommand())
	return root
}

// plainly says of a flag that should have been a number that it is none, in place of strconv's words.
func plainly(err error) error {
	flag, isFlag := errors.AsType[*pflag.InvalidValueError](err)
	if _, isNumber := errors.AsType[*strconv.NumError](err); !isFlag || !isNumber {
		return err
	}
	return fmt.Errorf("--%s: %q is no number that it can be; usage: --%s", flag.GetFlag().Name, flag.GetValue(), usageOf(flag.GetFlag()))
}

func usageOf(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	return f.Name + " " + kind + " (" + usage + ")"
}

// takes is cobra.RangeArgs with exit status 2 and the command's usage.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageError{fmt.Errorf("%d arguments are given; usage: %s", len(args), cmd.UseLine())}
		}
		return nil
	}
}

// A remote is the flags of every command that talks to a server.
type remote struct {
	server, tokenFile string
	json              bool
	wait              waitFor
}

func (r *remote) flags(cmd *cobra.Command) {
	r.serverFlags(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "print the server's answer as JSON")
}

// serverFlags are those of commands that print nothing.
func (r *remote) serverFlags(cmd *cobra.Command) {
	server := cmp.Or(os.Getenv("ASSETMATRIX_SERVER"), "http://127.0.0.1:9090")
	cmd.Flags().StringVar(&r.server, "server", server, "the server's management API (or ASSETMATRIX_SERVER)")
	cmd.Flags().StringVar(&r.tokenFile, "token-file", "", "a file with the bearer token (or the token itself in ASSETMATRIX_TOKEN)")
}

// writeFlags are those of commands that change the matrix.
func (r *remote) writeFlags(cmd *cobra.Command) {
	r.flags(cmd)
	cmd.Flags().Var(&r.wait, "wait", "edges: answer when every edge shows the change")
	_ = cmd.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]cobra.Completion{waitForEdges}, cobra.ShellCompDirectiveNoFileComp))
}

// A waitFor is a flag: what a write waits for before it is answered.
type waitFor string

const waitForEdges = "edges"

func (w *waitFor) Set(text string) error {
	if text != waitForEdges {
		return errors.New("one can wait for edges")
	}
	*w = waitForEdges
	return nil
}

func (w *waitFor) String() string { return string(*w) }

func (w *waitFor) Type() string { return waitForEdges }

// ifVersionFlag demands a version. 0 would demand nothing, so it cannot be given.
func ifVersionFlag(cmd *cobra.Command, into *int) {
	cmd.Flags().Var((*versionNumber)(into), "if-version", "only when this is the current version")
}

func ifStateFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "if-state", "", "only when nothing has changed since --json showed this state")
}

// errNewWithVersion says that two conditions cannot both hold.
var errNewWithVersion = usageError{errors.New("what is to be new has no version and no state; give --create-only or the other condition, not both")}

// A versionNumber is a flag: 1 or more.
type versionNumber int

func (n *versionNumber) Set(text string) error {
	given, err := strconv.Atoi(text)
	if err != nil || given < 1 {
		return errors.New("versions are numbered from 1")
	}
	*n = versionNumber(given)
	return nil
}

func (n *versionNumber) String() string { return "" }

func (n *versionNumber) Type() string { return "VERSION" }

// client returns a client of the server. There is no flag for the token itself: a command line is no secret.
func (r *remote) client() (*client.Client, error) {
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	c, err := client.New(r.server)
	if err != nil {
		return nil, usageError{err}
	}
	if r.wait != "" {
		c = c.WaitingForEdges()
	}
	return c.WithToken(token), nil
}

func (r *remote) token() (string, error) {
	if r.tokenFile == "" {
		return os.Getenv("ASSETMATRIX_TOKEN"), nil
	}
	text, err := os.ReadFile(r.tokenFile)
	if err != nil {
		return "", usageError{fmt.Errorf("--token-file: %w", err)}
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", usageError{fmt.Errorf("--token-file: %s is empty", r.tokenFile)}
	}
	return token, nil
}

// ask asks the server and prints its answer: as JSON when that is wanted, otherwise as show writes it.
func ask[T any](cmd *cobra.Command, r remote, call func(context.Context, *client.Client) (T, error), show func(io.Writer, T) error) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	answer, err := call(cmd.Context(), c)
	if err != nil {
		return err
	}
	if err := printAnswer(cmd, r, answer, show); err != nil {
		return err
	}
	return waited(edgesOf(answer))
}

// edgesOf returns what an answer says of the edges, nil when they were not asked for.
func edgesOf(answer any) *client.Edges {
	switch a := answer.(type) {
	case client.Product:
		return a.Edges
	case client.Receipt:
		return a.Edges
	case client.Entry:
		return a.Edges
	case client.Link:
		return a.Edges
	case client.Deleted:
		return a.Edges
	case client.Transacted:
		return a.Edges
	case client.Collected:
		return a.Edges
	case client.Done:
		return a.Edges
	}
	return nil
}

// waited fails when edges were to be waited for, and do not show the change yet.
func waited(e *client.Edges) error {
	switch {
	case e == nil || e.Waited && len(e.Behind) == 0:
		return nil
	case !e.Waited:
		return errors.New("it is done, but which edges show it could not be found out")
	}
	return fmt.Errorf("it is done, but these edges do not show it yet: %s", strings.Join(e.Behind, ", "))
}

// printAnswer prints an answer of the server.
func printAnswer[T any](cmd *cobra.Command, r remote, answer T, show func(io.Writer, T) error) error {
	if r.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return show(cmd.OutOrStdout(), answer)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printRows(out io.Writer, head []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if head != nil {
		fmt.Fprintln(w, strings.Join(head, "\t"))
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// printable spells out what a terminal would act on, or show in another order, rather than print.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// moment spells a time in a row.
func moment(t time.Time) string { return t.Format("2006-01-02 15:04:05") }
