package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assetmatrix/assetmatrix"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func backupCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the matrix as it is now to a file, from which `restore` makes it anew",
		Long: "Write the matrix as it is now to a file (- is standard output), from which `assetmatrix restore` makes it anew. FILE has\n" +
			"its name only when it is whole, verified and on the disk. Originals are not in it: they are where the providers keep them.",
		Example: "  assetmatrix backup /backups/matrix-$(date +%F)\n" +
			"  assetmatrix backup - | aws s3 cp - s3://backups/matrix",
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			receive := func(w io.Writer) (client.Manifest, error) { return receiveBackup(cmd, c, w) }
			if args[0] == "-" {
				return backupToOutput(cmd, receive)
			}
			m, err := writeFile(args[0], receive)
			if err != nil {
				return err
			}
			return printAnswer(cmd, r, m, showManifest)
		},
	}
	r.flags(cmd)
	return cmd
}

// backupToOutput keeps everything else off standard output.
func backupToOutput(cmd *cobra.Command, receive func(io.Writer) (client.Manifest, error)) error {
	if screen, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(screen.Fd())) {
		return usageError{errors.New("a backup is nothing to read on a terminal; give a file")}
	}
	_, err := receive(cmd.OutOrStdout())
	return err
}

// receiveBackup writes a backup to w, and fails unless it is one that can be restored.
func receiveBackup(cmd *cobra.Command, c *client.Client, w io.Writer) (client.Manifest, error) {
	bar := newProgress("backup", -1, cmd.ErrOrStderr())
	defer bar.end()
	read, written := io.Pipe()
	verified := make(chan error, 1)
	go func() {
		_, err := catalog.VerifyBackup(read)
		_ = read.CloseWithError(err)
		verified <- err
	}()
	m, err := c.Backup(cmd.Context(), io.MultiWriter(w, bar, written))
	_ = written.CloseWithError(err)
	if broken := <-verified; err == nil {
		err = broken
	}
	return m, err
}

// writeFile makes a file that has its name only when write has succeeded and its bytes are on the disk. Nobody else may read it.
func writeFile(path string, write func(io.Writer) (client.Manifest, error)) (client.Manifest, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return client.Manifest{}, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // when it has not got its name
	m, err := write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return m, err
	}
	return m, errors.Join(os.Rename(f.Name(), path), syncDir(filepath.Dir(path)))
}

// syncDir puts the names in a directory on the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func showManifest(out io.Writer, m client.Manifest) error {
	return printRows(out, nil, [][]string{
		{"revision", fmt.Sprint(m.Revision)},
		{"hash", m.Hash.String()},
		{"epoch", m.Epoch},
		{"size", fmt.Sprintf("%d bytes", m.Size)},
	})
}

func restoreCommand() *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the matrix of a backup in an empty system, while no server runs in it",
		Long: "Make the matrix of a backup (- is standard input) in an empty system: the configured data_dir has no matrix, or nats.url leads\n" +
			"to a cluster without one. No server may run in it. Nothing is left behind when it fails.",
		Example: "  assetmatrix restore /backups/matrix-2026-11-24 --config config.yaml\n" +
			"  aws s3 cp s3://backups/matrix - | assetmatrix restore - --config config.yaml",
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := load(config)
			if err != nil {
				return err
			}
			m, err := restore(cmd, cfg, args[0])
			if err != nil {
				return err
			}
			return printAnswer(cmd, remote{json: asJSON}, client.Manifest(m), showManifest)
		},
	}
	configFlag(cmd, &config)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func restore(cmd *cobra.Command, cfg assetmatrix.Config, path string) (catalog.Manifest, error) {
	backup, size, err := open(path, cmd.InOrStdin())
	if err != nil {
		return catalog.Manifest{}, err
	}
	defer func() { _ = backup.Close() }()
	bar := newProgress("restoring", size, cmd.ErrOrStderr())
	defer bar.end()
	return assetmatrix.Restore(cmd.Context(), cfg, io.TeeReader(backup, bar))
}
