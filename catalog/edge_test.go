package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/assetmatrix/assetmatrix/asset"
)

// accepting returns a control plane that accepts edges on loopback, and where.
func accepting(t testing.TB, dir string, change func(*Config)) (*Catalog, string) {
	t.Helper()
	cfg := config(dir)
	cfg.Role, cfg.NATS.Listen = roleControl, "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	c, err := Open(t.Context(), cfg, Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, fmt.Sprintf("nats://127.0.0.1:%d", c.server.port)
}

func edgeConfig(dir, url string) Config {
	cfg := config(dir)
	cfg.Role, cfg.NATS.URL = roleEdge, url
	return cfg
}

// edge returns an edge of the log at url.
func edge(t testing.TB, dir, url string) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), edgeConfig(dir, url), Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// reaches fails unless the view comes to show the revision.
func reaches(t testing.TB, c *Catalog, revision uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Await(ctx, revision); err != nil {
		t.Fatalf("revision %d: %v; the view is at %d", revision, err, c.View().Revision())
	}
}

// An edge shows what is written at the control plane, and writes nothing itself.
func TestEdge(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	update(t, c, putProduct("shop"))
	e := edge(t, t.TempDir(), url)
	reaches(t, e, 1)
	reaches(t, e, update(t, c, putProduct("blog")))
	if _, ok := e.View().Product("blog"); !ok || e.View().hash != c.View().hash {
		t.Error("not the same matrix")
	}
	var f *asset.Fault
	if err := try(e, putProduct("news")); !errors.Is(err, asset.ErrForbidden) || !errors.As(err, &f) {
		t.Error(err)
	}
	if err := e.Healthy(); err != nil {
		t.Error(err)
	}
}

// What changes is told once, in the order of the log, at the writer as at an edge, when the view shows it.
func TestChangesAreTold(t *testing.T) {
	tell := func(c *atomic.Pointer[Catalog], told *[]string) Events {
		return Events{Changed: func(mutations []Mutation) {
			for _, m := range mutations {
				*told = append(*told, m.PutProduct.Name)
				if c := c.Load(); c != nil {
					if _, ok := c.View().Product(m.PutProduct.Name); !ok {
						t.Errorf("%s is told before it is shown", m.PutProduct.Name)
					}
				}
			}
		}}
	}
	var at [2]atomic.Pointer[Catalog]
	var told [2][]string
	cfg := config(t.TempDir())
	cfg.Role, cfg.NATS.Listen = roleControl, "127.0.0.1:0"
	c, err := Open(t.Context(), cfg, tell(&at[0], &told[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	e, err := Open(t.Context(), edgeConfig(t.TempDir(), fmt.Sprintf("nats://127.0.0.1:%d", c.server.port)), tell(&at[1], &told[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	reaches(t, e, update(t, c, putProduct("first")))
	at[0].Store(c)
	at[1].Store(e)
	update(t, c, putProduct("a"), putProduct("b"))
	reaches(t, e, update(t, c, putProduct("c")))
	for i, c := range []*Catalog{c, e} {
		_ = c.Close() // nothing is told any more
		if got := strings.Join(told[i], ""); got != "firstabc" {
			t.Errorf("catalog %d told %q", i, got)
		}
	}
}

// Whoever connects as an edge can read the log, and do nothing to it.
func TestEdgesOnlyRead(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	update(t, c, putProduct("shop"))
	denied := make(chan error, 100)
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	refused := func(what string) {
		t.Helper()
		select {
		case err := <-denied:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Error(what, err)
			}
		case <-time.After(10 * time.Second):
			t.Error(what, "is not refused")
		}
	}
	for _, subject := range []string{
		subject, writerSubject, askSubject, "anything", "_INBOX.someone", "$SYS.REQ.SERVER.PING",
		"$JS.API.STREAM.DELETE.META", "$JS.API.STREAM.PURGE.META", "$JS.API.STREAM.UPDATE.META", "$JS.API.STREAM.CREATE.OTHER",
		"$JS.API.STREAM.MSG.DELETE.META", "$JS.API.STREAM.SNAPSHOT.META", "$JS.API.STREAM.RESTORE.META",
		"$JS.API.CONSUMER.DURABLE.CREATE.META.x", "$JS.API.CONSUMER.CREATE.OTHER.x", "$JS.API.SERVER.REMOVE", "$JS.API.META.LEADER.STEPDOWN",
		"$JS.API.STREAM.LEADER.STEPDOWN.META",
	} {
		if err := nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		refused("publishing to " + subject)
	}
	for _, subject := range []string{">", subject, edgeSubject, "$JS.API.>", "$SYS.>"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		refused("subscribing to " + subject)
	}
	if n := len(history(t, c)); n != 1 {
		t.Error("the log has", n)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := js.Stream(t.Context(), streamName); err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Error(err)
	}
}

// A push consumer sends where its maker says, in the name of the server: not even so can an edge reach the log.
func TestEdgeCannotMakeTheServerWrite(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	update(t, c, putProduct("shop"))
	nc, _ := stranger(t, url)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	control, err := c.server.nc.SubscribeSync("_INBOX.control")
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{"$JS.API.STREAM.DELETE.META", "$JS.API.STREAM.PURGE.META", writerSubject, askSubject, control.Subject, subject} {
		_, err := js.CreatePushConsumer(t.Context(), streamName, jetstream.ConsumerConfig{
			Name: fmt.Sprint("push", i), DeliverSubject: to, IdleHeartbeat: 100 * time.Millisecond, AckPolicy: jetstream.AckNonePolicy,
		})
		if (err != nil) != (to == subject) {
			t.Fatal(to, err)
		}
	}
	for range 5 { // the message, and empty ones, as a request to delete would be
		if _, err := control.NextMsg(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	update(t, c, putProduct("blog"))
	if n := len(history(t, c)); n != 2 {
		t.Error("the log has", n)
	}
}

// Whoever asks says where the answer goes, and may lead it where he must not send himself: nothing arrives at the log.
func TestEdgeCannotLeadAnAnswerToTheLog(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	update(t, c, putProduct("shop"))
	nc, _ := stranger(t, url)
	leadAnswers(t, nc)
	update(t, c, putProduct("blog"))
	if n := len(history(t, c)); n != 2 || c.Healthy() != nil {
		t.Error("the log has", n, c.Healthy())
	}
}

// leadAnswers asks all that an edge may, with every subject as the one to answer to that it may not send to.
func leadAnswers(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{subject, writerSubject, askSubject, "$JS.API.STREAM.PURGE.META", "$JS.API.STREAM.DELETE.META"} {
		name := fmt.Sprint("pull", i)
		for _, headersOnly := range []bool{false, true} {
			cfg := jetstream.ConsumerConfig{Name: name + fmt.Sprint(headersOnly), HeadersOnly: headersOnly, AckPolicy: jetstream.AckNonePolicy}
			if _, err := js.CreateConsumer(t.Context(), streamName, cfg); err != nil {
				t.Fatal(err)
			}
			if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.META."+cfg.Name, to, []byte(`{"batch":5,"no_wait":true}`)); err != nil {
				t.Fatal(err)
			}
		}
		for _, ask := range []string{"STREAM.INFO.META", "CONSUMER.INFO.META." + name + "true", "STREAM.MSG.GET.META", "CONSUMER.CREATE.META.x", "CONSUMER.DELETE.META.x"} {
			if err := nc.PublishRequest("$JS.API."+ask, to, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s, err := js.Stream(t.Context(), streamName); err != nil || s.CachedInfo().State.Msgs != 1 { // and all before was answered
		t.Error("the log has another message, or none:", err)
	}
}
