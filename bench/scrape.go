package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape reads the program's metrics, each as the sum over its labels.
func scrape(ctx context.Context, control, token string) (map[string]float64, error) {
	s := &shot{url: control + "/metrics", status: http.StatusOK, length: anyLength}
	if token != "" {
		s.header = [2]string{"Authorization", "Bearer " + token}
	}
	a, err := askOnce(ctx, s)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(a.body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.url, err)
	}
	sums := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			sums[name] += valueOf(family.GetType(), m)
		}
	}
	return sums, nil
}

func valueOf(kind dto.MetricType, m *dto.Metric) float64 {
	switch kind {
	case dto.MetricType_COUNTER:
		return m.GetCounter().GetValue()
	case dto.MetricType_GAUGE:
		return m.GetGauge().GetValue()
	case dto.MetricType_HISTOGRAM:
		return float64(m.GetHistogram().GetSampleCount())
	}
	return m.GetUntyped().GetValue()
}
