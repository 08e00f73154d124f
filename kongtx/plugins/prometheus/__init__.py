"""The prometheus plugin."""

from kongtx.plugins.prometheus.handler import Prometheus

plugin = Prometheus()
