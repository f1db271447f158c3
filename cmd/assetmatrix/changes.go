package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func changesCommand() *cobra.Command {
	var r remote
	var after uint64
	cmd := &cobra.Command{
		Use:   "changes",
		Short: "Follow what changes in the matrix, until it is interrupted",
		Long: "Follow what changes in the matrix, until it is interrupted: from now on, or from a revision on. A connection that\n" +
			"breaks is made again, and nothing is missed. With --json each change is one line.",
		Example: "  assetmatrix changes\n" +
			"  assetmatrix changes --after 0 --json | jq -c 'select(.changes[].kind == \"purge\")'",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			now, err := c.Products(cmd.Context()) // whose failure is one of the asking; from then on a server that is away comes back
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("after") {
				after = now.Revision
			}
			show := showChange
			if r.json {
				show = printLine
			}
			return follow(cmd.Context(), c, after, cmd.ErrOrStderr(), func(change client.Change) error {
				return show(cmd.OutOrStdout(), change)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().Uint64Var(&after, "after", 0, "begin with the change behind this revision, 0 for all there ever were; without it, from now on")
	return cmd
}

// pause is how long follow waits before it connects again.
const pause = time.Second

// follow takes change after change until ctx ends, which is no failure. It fails when take does, or the server refuses.
func follow(ctx context.Context, c *client.Client, after uint64, errs io.Writer, take func(client.Change) error) error {
	for {
		err := c.Changes(ctx, after, func(change client.Change) error {
			after = change.Revision
			return take(change)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !isAway(err):
			return err
		}
		fmt.Fprintf(errs, "%v; connecting again, behind revision %d\n", err, after)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// isAway reports whether err says that the server, or something before it, cannot answer now.
func isAway(err error) bool {
	p, refused := errors.AsType[*asset.Problem](err)
	return errors.Is(err, asset.ErrUnavailable) || refused && p.Status >= 500
}

func printLine(out io.Writer, change client.Change) error { return json.NewEncoder(out).Encode(change) }

func showChange(out io.Writer, change client.Change) error {
	for _, m := range change.Changes {
		if _, err := fmt.Fprintf(out, "%-7d %s  %-16s  %s\n", change.Revision, moment(change.CommittedAt), m.Kind, strings.Join(about(m), " ")); err != nil {
			return err
		}
	}
	return nil
}

// about says what a mutation is about.
func about(m client.Mutation) (parts []string) {
	add := func(label, value string) {
		if value != "" {
			parts = append(parts, label+value)
		}
	}
	target := m.Product
	if m.Name != "" {
		target += "/" + m.Name
	}
	add("", target)
	add("asset ", m.Asset)
	if m.Version != 0 {
		add("version ", fmt.Sprint(m.Version))
	}
	add("", string(m.Status))
	add("tag ", m.Tag)
	if m.Original != nil {
		add("original ", m.Original.String())
	}
	return parts
}

func replicasCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "replicas",
		Short: "List the processes that follow the matrix, and how far each is behind",
		Example: "  assetmatrix replicas\n" +
			"  assetmatrix replicas --json | jq '[.replicas[].lag] | max'",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Replicas, error) {
				return c.Replicas(ctx)
			}, showReplicas)
		},
	}
	r.flags(cmd)
	return cmd
}

func showReplicas(out io.Writer, all client.Replicas) error {
	var rows [][]string
	for _, r := range all.Replicas {
		behind := "-"
		if r.LagSeconds > 0 {
			behind = fmt.Sprintf("%.1fs", r.LagSeconds)
		}
		rows = append(rows, []string{r.ID, r.Role, fmt.Sprint(r.Revision), fmt.Sprint(r.Lag), behind, moment(r.Seen), r.Version, r.Frozen})
	}
	return printRows(out, []string{"REPLICA", "ROLE", "REVISION", "LAG", "FOR", "SEEN", "VERSION", "FROZEN"}, rows)
}
