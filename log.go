package assetmatrix

import (
	"io"
	"log/slog"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Logger returns the logger that c describes, writing to w.
func (c LogConfig) Logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}

func (c LogConfig) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return 0, asset.BadKey("level", strconv.Quote(c.Level), "debug, info, warn, error")
	}
	return level, nil
}
