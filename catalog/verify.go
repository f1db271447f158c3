package catalog

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/assetmatrix/assetmatrix/asset"
)

// VerifyBackup reads a backup to its end and says what it holds. It fails with [asset.ErrCorrupt] when the backup is not
// whole.
func VerifyBackup(r io.Reader) (Manifest, error) {
	in := bufio.NewReader(r)
	m, err := decodeBackup(in)
	if err != nil {
		return Manifest{}, err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, in)
	if err != nil {
		return Manifest{}, err
	}
	if size != m.Size || asset.Digest(sum.Sum(nil)) != m.SHA256 {
		return Manifest{}, fmt.Errorf("%w: the backup is not whole: %d bytes of %d, or others", asset.ErrCorrupt, size, m.Size)
	}
	return m, nil
}
