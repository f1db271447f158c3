package bench

import (
	"testing"
	"time"
)

// The same work takes some CPU time, every second, and the clock is that of all cores.
func TestGauge(t *testing.T) {
	g := startGauge(t.Context())
	time.Sleep(5 * gaugePause / 2)
	var r Report
	g.end(&r)
	if work := r.value(t, "machine_work_ms"); work < 0.1 || work > 1000 {
		t.Errorf("%v ms", work)
	}
	if n := len(r.Figures[0].rounds); n != 2 && n != 1 { // on a busy machine
		t.Errorf("%d looks", n)
	}
	if stolen := r.value(t, "machine_stolen_percent"); stolen < 0 || stolen > 100 {
		t.Errorf("%v %% stolen", stolen)
	}
}

// Times are widened by how much longer the work took in the worst seconds than in the best.
func TestGaugeWidens(t *testing.T) {
	g := startGauge(t.Context())
	g.stop()
	g.done.Wait()
	g.work = samples{4, 2, 6}
	var r Report
	r.median("a", samples{12, 30}, "ms")
	g.end(&r)
	if a, work := r.Figures[0], r.Figures[1]; *a.Low != 4 || *a.High != 90 || *work.Low != 2 || *work.High != 6 {
		t.Errorf("%v–%v, the work %v–%v", *a.Low, *a.High, *work.Low, *work.High)
	}
}

// A run that has ended before the first look has nothing to say of the work.
func TestGaugeOfNothing(t *testing.T) {
	g := startGauge(t.Context())
	var r Report
	g.end(&r)
	for _, f := range r.Figures {
		if f.Name == "machine_work_ms" {
			t.Errorf("%+v", f)
		}
	}
}
