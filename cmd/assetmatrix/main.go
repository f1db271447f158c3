// Command assetmatrix stores a company's pictures and files once, and delivers each to every product in the shape that
// the product asks for by URL. `assetmatrix --help` lists what it does.
//
// Its one invariant: it exits with 0 when it did what was asked, with 1 when that failed, and with 2 when it was asked
// wrongly; what went wrong is on standard error, and standard output holds results alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), checkCommand(), putCommand(), getCommand(), linkCommand(), urlCommand(), productsCommand(), versionCommand())
	return root
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
	control string
	json    bool
}

func (r *remote) flags(cmd *cobra.Command) {
	control := os.Getenv("ASSETMATRIX_CONTROL")
	if control == "" {
		control = "http://127.0.0.1:9090"
	}
	cmd.Flags().StringVar(&r.control, "control", control, "the server's management API (or ASSETMATRIX_CONTROL)")
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON")
}

// ask asks the server and prints its answer: as JSON when that is wanted, otherwise as show writes it.
func ask[T any](cmd *cobra.Command, r remote, call func(context.Context, *client.Client) (T, error), show func(io.Writer, T) error) error {
	c, err := client.New(r.control)
	if err != nil {
		return usageError{err}
	}
	answer, err := call(cmd.Context(), c)
	if err != nil {
		return err
	}
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
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// moment spells a time in a row.
func moment(t time.Time) string { return t.Format("2006-01-02 15:04:05") }
