// Command assetmatrix stores a company's pictures and files once, and delivers each to every product in the shape that
// the product asks for by URL. `assetmatrix --help` lists what it does.
//
// Its one invariant: it exits with 0 when it did what was asked, with 1 when that failed, and with 2 when it was asked
// wrongly; what went wrong is on standard error, and standard output holds results alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
	os.Exit(run(ctx, os.Args[1:]))
}

// work renders what the server on the other end of descriptor 3 asks for.
func work() int {
	if err := transform.Work(os.NewFile(3, "render-socket")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string) int {
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "assetmatrix:", err)
	var wrong usageError
	if errors.As(err, &wrong) {
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

// exactly is cobra.ExactArgs with words of its own and exit status 2.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %d arguments, %d given; usage: %s", cmd.Name(), n, len(args), cmd.UseLine())}
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

func (r *remote) client() (*client.Client, error) {
	c, err := client.New(r.control)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}
