package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix"
)

func serveCommand() *cobra.Command {
	var config, role string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run everything, the control plane or an edge in this process until SIGTERM",
		Example: "  assetmatrix serve\n" +
			"  assetmatrix serve --config /etc/assetmatrix/config.yaml\n" +
			"  ASSETMATRIX_NATS_URL=nats://edge@10.0.0.1:4222 assetmatrix serve --role edge",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var flags []string
			if cmd.Flags().Changed("role") {
				flags = append(flags, "ASSETMATRIX_ROLE="+role)
			}
			cfg, err := load(config, flags...)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &config)
	cmd.Flags().StringVar(&role, "role", "all", "what this process does: all, control (no delivery) or edge (delivery alone); overrides the configuration's")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]cobra.Completion{"all", "control", "edge"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func configFlag(cmd *cobra.Command, config *string) {
	cmd.Flags().StringVar(config, "config", "", "the configuration file; without one, the defaults and the environment")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// load reads the configuration. What flags set is spelled as the environment would, and stands above it.
func load(path string, flags ...string) (assetmatrix.Config, error) {
	cfg, err := assetmatrix.LoadConfig(path, append(os.Environ(), flags...))
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// startGCPercent lets the heap grow from the runtime's least (4 MiB at 100) to some 160 MB before the first collection.
const startGCPercent = 4000

// serve logs to errs.
func serve(ctx context.Context, cfg assetmatrix.Config, errs io.Writer) error {
	// What is read at start stays: collecting in between finds nothing and takes time.
	percent := debug.SetGCPercent(startGCPercent)
	system, err := assetmatrix.New(ctx, cfg, version, errs)
	debug.SetGCPercent(percent)
	if err != nil {
		return err
	}
	return system.Run(ctx)
}

func checkCommand() *cobra.Command {
	var config string
	var live bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether a configuration can be used, or with --live whether its server answers",
		Example: "  assetmatrix check --config config.yaml\n" +
			"  assetmatrix check --config config.yaml --live",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(config)
			if err != nil {
				return err
			}
			if live {
				return alive(cmd.Context(), cfg.Control.Listen)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The configuration can be used: delivery on %s, management on %s, data in %s, %d provider(s), %d product(s).\n",
				cfg.Delivery.Listen, cfg.Control.Listen, cfg.DataDir, len(cfg.Providers), len(cfg.Products))
			return nil
		},
	}
	configFlag(cmd, &config)
	cmd.Flags().BoolVar(&live, "live", false, "ask the running server's /livez")
	return cmd
}

// alive asks the management API whether it lives.
func alive(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/livez", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s: %w", net.JoinHostPort(req.URL.Hostname(), req.URL.Port()), err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server at %s answers %s", listen, resp.Status)
	}
	return nil
}
