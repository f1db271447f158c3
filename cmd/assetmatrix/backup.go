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

const placesHelp = "A backup is at a path, file:///path, - (standard output or input), or in a bucket: s3://bucket/key. Credentials for that\n" +
	"come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from the profile in AWS_PROFILE, or from the machine's role, as for every\n" +
	"AWS tool. Behind a ? may be region=, endpoint= and use_path_style=true (for other stores with S3's API), profile=, role=,\n" +
	"ssetype= and kmskeyid=."

func backupCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "backup TARGET",
		Short: "Write the matrix as it is now to a file or a bucket, from which `restore` makes it anew",
		Long: "Write the matrix as it is now to TARGET, from which `assetmatrix restore` makes it anew. TARGET has its name only when it is\n" +
			"whole and verified (a file: on the disk too), and replaces one that was there. Originals are not in it: they are where the\n" +
			"providers keep them.\n\n" + placesHelp,
		Example: "  assetmatrix backup /backups/matrix-$(date +%F)\n" +
			"  assetmatrix backup 's3://backups/matrix?region=eu-central-1'\n" +
			"  assetmatrix backup 's3://backups/matrix?endpoint=https://minio.example:9000&region=us-east-1&use_path_style=true'\n" +
			"  assetmatrix backup - | gpg --encrypt -r backups > matrix.gpg",
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
			m, err := backupTo(cmd, args[0], receive)
			if err != nil {
				return err
			}
			return printAnswer(cmd, r, m, showManifest)
		},
	}
	r.flags(cmd)
	return cmd
}

func backupTo(cmd *cobra.Command, target string, receive func(io.Writer) (client.Manifest, error)) (client.Manifest, error) {
	path, o, err := parsePlace(cmd.Context(), target)
	if err != nil {
		return client.Manifest{}, err
	}
	if o == nil {
		return writeFile(path, receive)
	}
	return o.write(cmd.Context(), receive)
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
		Use:   "restore SOURCE",
		Short: "Make the matrix of a backup in an empty system, while no server runs in it",
		Long: "Make the matrix of the backup SOURCE in an empty system: the configured data_dir has no matrix, or nats.url leads to a cluster\n" +
			"without one. No server may run in it. Nothing is left behind when it fails.\n\n" + placesHelp,
		Example: "  assetmatrix restore /backups/matrix-2026-11-24 --config config.yaml\n" +
			"  assetmatrix restore 's3://backups/matrix?region=eu-central-1' --config config.yaml\n" +
			"  gpg --decrypt matrix.gpg | assetmatrix restore - --config config.yaml",
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

func restore(cmd *cobra.Command, cfg assetmatrix.Config, source string) (catalog.Manifest, error) {
	backup, size, err := openBackup(cmd, source)
	if err != nil {
		return catalog.Manifest{}, err
	}
	defer func() { _ = backup.Close() }()
	bar := newProgress("restoring", size, cmd.ErrOrStderr())
	defer bar.end()
	return assetmatrix.Restore(cmd.Context(), cfg, io.TeeReader(backup, bar))
}

// openBackup returns the bytes of a backup and their number, -1 when that is not known.
func openBackup(cmd *cobra.Command, source string) (io.ReadCloser, int64, error) {
	path, o, err := parsePlace(cmd.Context(), source)
	switch {
	case err != nil:
		return nil, 0, err
	case o != nil:
		return o.open(cmd.Context())
	}
	return open(path, cmd.InOrStdin())
}
