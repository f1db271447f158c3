package catalog

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// idPattern is the random part of a replica's name.
var idPattern = regexp.MustCompile(`^[a-z2-7]{10}\n$`)

// replicaID returns the name of the replica in dir: the host's, and a random one that is kept there. One that is damaged
// gives way to another: who is called by it could not be heard of, and so would not be waited for.
func replicaID(dir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	path := filepath.Join(dir, "replica-id")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !idPattern.Match(text) {
		text = []byte(strings.ToLower(rand.Text()[:10]) + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", err
	}
	return host + "-" + strings.TrimSpace(string(text)), nil
}
