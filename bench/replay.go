package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// maxReplay is how long a replay takes at most; a longer trace goes by faster.
const maxReplay, maxQuickReplay = 10 * time.Minute, 20 * time.Second

// replayScenario replays a recorded trace at the pace at which it was recorded, or faster if that takes too long: at the
// target, which has what was asked for, or at a server that is started, where pictures are drawn for every name.
func replayScenario(ctx context.Context, r *run) (err error) {
	visits, err := readTrace(r.Trace)
	if err != nil {
		return err
	}
	var wanted replayed
	if r.Target == "" {
		if wanted, err = wantedBy(visits); err != nil {
			return err
		}
	}
	f, err := openField(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.populate(ctx, wanted); err != nil {
		return err
	}
	limit, err := generatorCeiling(ctx, 16<<10, 300*time.Millisecond)
	if err != nil {
		return err
	}
	r.progress("replaying", 0, len(visits))
	asked := 0
	s, faster := r.scheduleOf(visits)
	o, err := open(ctx, s, func() *shot {
		v := visits[asked]
		asked++
		r.progress("replaying", asked, len(visits))
		return &shot{url: f.subjects[0].base + v.Path, header: visitAccept, status: http.StatusOK, length: anyLength}
	})
	if err != nil {
		return err
	}
	f.reportReplay(o, limit, faster)
	return nil
}

// scheduleOf is when each visit is due, and how many times faster than it was recorded that is.
func (r *run) scheduleOf(visits []Visit) (s schedule, faster float64) {
	most := maxReplay
	if r.Quick {
		most = maxQuickReplay
	}
	lasts := time.Duration(visits[len(visits)-1].AtMS) * time.Millisecond
	faster = max(1, float64(lasts)/float64(most))
	return schedule{len(visits), func(i int) time.Duration {
		at := visits[min(i, len(visits)-1)].AtMS
		return time.Duration(float64(at) * float64(time.Millisecond) / faster)
	}}, faster
}

// replayed is what a trace asks for: products with their presets, and names in them.
type replayed struct {
	products map[string]map[string]string
	names    map[[2]string]bool
}

// wantedBy takes what is no option as a preset.
func wantedBy(visits []Visit) (replayed, error) {
	w := replayed{map[string]map[string]string{}, map[[2]string]bool{}}
	for _, v := range visits {
		product, options, name, ok := pathParts(v.Path)
		if !ok {
			continue
		}
		preset, _, _ := strings.Cut(options, ",")
		isPreset := !strings.Contains(preset, "=") && preset != "original" && preset != "info"
		if !asset.ValidProductName(product) || asset.CheckName(name) != nil || isPreset && !asset.ValidPresetName(preset) {
			return w, askedWrongly("--trace: %s is no path of assetmatrix, which has /product/options/name; take it out of the trace, or replay it at the server that has it (--target)", v.Path)
		}
		if w.products[product] == nil {
			w.products[product] = map[string]string{}
		}
		if isPreset {
			w.products[product][preset] = fmt.Sprintf("w=%d", 80+hashOf(preset)%1000)
		}
		w.names[[2]string{product, name}] = true
	}
	return w, nil
}

// populate makes what is wanted, with a picture for each name.
func (f *field) populate(ctx context.Context, w replayed) error {
	if len(w.names) == 0 {
		return nil
	}
	for product, presets := range w.products {
		if _, err := f.subjects[0].api.PutProduct(ctx, product, client.ProductSpec{Presets: presets}); err != nil {
			return fmt.Errorf("the trace's product %s: %w", product, err)
		}
	}
	pictures, err := drawAll(ctx, min(len(w.names), 64), 300_000, func(done, total int) { f.progress("drawing pictures", done, total) })
	if err != nil {
		return err
	}
	stored := 0
	for at := range w.names {
		f.progress("storing pictures", stored, len(w.names))
		stored++
		picture := pictures[hashOf(at[1])%uint32(len(pictures))]
		if _, err := put(ctx, f.subjects[0].api, at[0], at[1], picture); err != nil {
			return fmt.Errorf("the trace's %s/%s: %w", at[0], at[1], err)
		}
	}
	return nil
}

// pathParts takes a front door's path apart.
func pathParts(path string) (product, options, name string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.SplitN(path, "/", 4)
	if len(parts) < 4 || parts[1] == "" || parts[2] == "" || parts[3] == "" {
		return "", "", "", false
	}
	name, err := url.PathUnescape(parts[3])
	return parts[1], parts[2], name, err == nil
}

func hashOf(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // it never fails
	return h.Sum32()
}

func (f *field) reportReplay(o *offer, limit ceiling, faster float64) {
	r := f.report
	r.figure("replay_speed", faster, "×")
	r.figure("replay_offered_per_second", o.rate, "req/s")
	if !o.keptUp() {
		r.figure("replay_sent_per_second", o.sent, "req/s")
		f.reportWho(limit, o, nil)
		return
	}
	var p dayParts
	p.take(o, nil)
	r.figure("replay_answered_per_second", o.perSecond(), "req/s")
	if len(o.tiers[""]) < len(o.latencies) { // somebody says who answered
		r.median("replay_hit_percent", p.ratio["hit"], "%")
		for _, tier := range append(hitTiers, "miss") {
			r.median("replay_"+tier+"_percent", p.ratio[tier], "%")
		}
	}
	if len(o.latencies) > 0 {
		r.figure("replay_p50_ms", ms(o.latencies.at(0.5)), "ms")
		r.figure("replay_p99_ms", ms(o.latencies.at(0.99)), "ms")
	}
	r.figure("replay_failures", float64(o.failed+o.unanswered), "")
	r.figure("replay_shed", float64(o.shed), "")
	t := Table{Title: fmt.Sprintf("The trace %s, %s times as fast as it was recorded", f.Trace, number(faster)), Head: distributionHead("")}
	for _, tier := range append(hitTiers, "miss") {
		t.Rows = append(t.Rows, o.tiers[tier].row(tier))
	}
	t.Rows = append(t.Rows, o.latencies.row("all"))
	r.table(t)
	f.reportWho(limit, nil, o.failures())
	r.plot(latencyPlot("The trace, replayed", o.latencies.series("all"), p.all.series("hits")))
}
