package catalog

import "time"

// A Draft is a transaction that is being made, for a function of [Catalog.Update] whose later mutations depend on what
// its earlier ones made of the matrix. It belongs to one goroutine.
type Draft struct {
	view      *View
	mutations []Mutation
}

// Draft begins a transaction on v, which it leaves as it is.
func (v *View) Draft() *Draft {
	made := v.fork()
	made.committing = time.Now()
	return &Draft{view: made}
}

// View returns what the mutations have made of the matrix so far. Unlike other views it changes, with the next one.
func (d *Draft) View() *View { return d.view }

// Add adds a mutation. It fails, and adds nothing, with what [Catalog.Update] would fail with.
func (d *Draft) Add(m Mutation) error {
	if err := d.view.check(&m); err != nil {
		return err
	}
	d.view.apply(&m)
	d.mutations = append(d.mutations, m)
	return nil
}

// Mutations returns what was added, to be returned to [Catalog.Update].
func (d *Draft) Mutations() []Mutation { return d.mutations }
