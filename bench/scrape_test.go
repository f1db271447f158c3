package bench

import (
	"net/http"
	"strings"
	"testing"
)

func TestScrape(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`# TYPE renders_total counter
renders_total{format="jpeg"} 2
renders_total{format="webp"} 3
# TYPE goroutines gauge
goroutines 7
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 9
took_seconds_count 4
untyped 5
`))
	})
	sums, err := scrape(t.Context(), url, "secret")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"renders_total": 5, "goroutines": 7, "took_seconds": 4, "untyped": 5, "missing": 0} {
		if sums[name] != want {
			t.Errorf("%s is %v, want %v", name, sums[name], want)
		}
	}
	if _, err := scrape(t.Context(), url, ""); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a token: %v", err)
	}
	broken := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{")) })
	if _, err := scrape(t.Context(), broken, ""); err == nil || !strings.Contains(err.Error(), "/metrics") {
		t.Errorf("no metrics: %v", err)
	}
}
