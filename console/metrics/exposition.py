"""Writes readings in the form that Prometheus reads."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from console.metrics.metric_list import METRICS, MetricKind
from console.metrics.readings import MetricReading

#: Of the text form that every release of Prometheus reads.
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposed(readings: Iterable[MetricReading]) -> bytes:
    """The readings in Prometheus' text form, UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(readings))
    return generate_latest(registry)


class _Collected(Collector):
    """Readings as families, in the order of METRICS; a metric without a number is left out."""

    def __init__(self, readings: Iterable[MetricReading]) -> None:
        self._by_metric: defaultdict[str, list[MetricReading]] = defaultdict(list)
        for reading in readings:
            self._by_metric[reading.metric.name].append(reading)

    def collect(self) -> Iterator[Family]:
        """The families."""
        for metric in METRICS:
            found = self._by_metric.get(metric.name)
            if not found:
                continue
            kind = CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for reading in found:
                family.add_metric(reading.labels, float(reading.value))
            yield family
