package asset

import "time"

// An Entry is what a product's name leads to, as far as a request needs it. It is copied out of a snapshot by value and
// without allocating; what few requests need is read from the snapshot when asked for.
type Entry struct {
	Status Status
	// Pin is the version that the link shows, 0 when it follows the asset.
	Pin int
	// Versions is how many there are, numbered from 1 without a gap.
	Versions int
	// Generation is the newest purge of the asset, of the link or of one of the asset's tags. That of the product is not
	// in it.
	Generation uint64
	// Changed is when the asset or the link was last changed, Archived when the asset was.
	Changed, Archived time.Time

	// Number is that of the version that was asked for, 0 when the link does not show it or there is none. All below is
	// the version's.
	Number    int
	Digest    Digest
	Size      int64
	MediaType string
	Created   time.Time
	// Picture has no ThumbHash and no Dominant here. Its Width is 0 for what is no picture.
	Picture Picture

	// Record and At are where the rest stands.
	Record Record
	At     uint64
}

// A Record is where a snapshot keeps an asset; at is the place in it.
type Record interface {
	// AppendID appends the asset's id.
	AppendID(b []byte, at uint64) []byte
	// AppendTags appends each tag, with before in front of each.
	AppendTags(b []byte, at uint64, before string) []byte
	// Asset returns all of it, nil when it cannot be read.
	Asset(at uint64) *Asset
}

// IsPicture reports whether the version can be rendered.
func (e *Entry) IsPicture() bool { return e.Picture.Width != 0 }

// Shows returns the number of the version that a link with a pin, to an asset with a current version, shows when number
// is asked for (0: whatever the link shows); 0 when it does not show it.
func Shows(pin, current, number int) int {
	switch {
	case pin == 0 && number == 0:
		return current
	case pin == 0, number == pin:
		return number
	case number == 0:
		return pin
	}
	return 0
}

// NewEntry returns the entry of a link and its asset for the version with that number, or for the one that the link
// shows when it is 0.
func NewEntry(l *Link, a *Asset, number int) Entry {
	e := Entry{
		Status: a.Status, Pin: l.Pin, Versions: len(a.Versions), Generation: max(a.Generation, l.Generation),
		Changed: latest(a.Updated, l.Created, l.Updated), Archived: a.ArchivedAt,
		Record: (*whole)(a),
	}
	number = Shows(l.Pin, a.Current, number)
	if number < 1 || number > len(a.Versions) {
		return e
	}
	v := &a.Versions[number-1]
	e.Number, e.Digest, e.Size, e.MediaType, e.Created = v.Number, v.Digest, v.Size, v.MediaType, v.Created
	if v.Picture != nil {
		e.Picture = *v.Picture
		e.Picture.ThumbHash, e.Picture.Dominant = "", ""
	}
	return e
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}

// A whole is an asset in memory as a [Record].
type whole Asset

var _ Record = (*whole)(nil)

// AppendID appends the asset's id.
func (w *whole) AppendID(b []byte, _ uint64) []byte { return append(b, w.ID...) }

// AppendTags appends each tag, with before in front of each.
func (w *whole) AppendTags(b []byte, _ uint64, before string) []byte {
	for _, tag := range w.Tags {
		b = append(append(b, before...), tag...)
	}
	return b
}

// Asset returns the asset.
func (w *whole) Asset(uint64) *Asset { return (*Asset)(w) }
