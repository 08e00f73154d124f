"""The configuration of prometheus: metrics for Prometheus to fetch."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, record
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "per_consumer": boolean(default=False),
            "status_code_metrics": boolean(default=False),
            "ai_metrics": boolean(default=False),
            "latency_metrics": boolean(default=False),
            "bandwidth_metrics": boolean(default=False),
            "upstream_health_metrics": boolean(default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named prometheus put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
