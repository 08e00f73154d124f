"""What commits announced, read from the log in the partition."""

from __future__ import annotations

import json

import attrs

from kongtx.db.cassandra import layout
from kongtx.db.cassandra.partition import SCOPE, Partition
from kongtx.db.cassandra.session import Consistency
from kongtx.db.clusterlog import LoggedEvent, LogPage

_AT_ONCE = 50  # commits


async def events_after(partition: Partition, at: float | None) -> LogPage:
    """See L{IClusterLog.events_after}.

    The moment of an event is that of its commit, which the database takes from its clock so that it
    grows with every commit. So the log is read backwards, by the exact places of commits, until one
    is too old; the places of those that expired are not looked at.
    """
    consistency = Consistency(partition.session.settings.read_consistency)
    moment = await partition.moment(consistency)
    while moment.state.pending is not None:
        await partition.settle(moment.state.pending)
        moment = await partition.moment(consistency)
    now = moment.now / 1000
    if at is None or moment.committed is None or moment.committed / 1e6 <= at:
        return LogPage(now, [])
    last = moment.state.version or 0
    found: list[LoggedEvent] = []
    oldest = max(0, last - layout.RING)
    for newest in range(last, oldest, -_AT_ONCE):
        versions = range(newest, max(oldest, newest - _AT_ONCE), -1)
        records = await _records(partition, versions, consistency)
        recent = [each for each in records if each.at > at]
        found = [*(event for each in recent for event in each.events), *found]
        if len(recent) < len(records) or not records:
            break
    return LogPage(now, found)


@attrs.frozen
class _Record:
    at: float
    version: int
    part: str
    events: list[LoggedEvent]


async def _records(
    partition: Partition, versions: range, consistency: Consistency
) -> list[_Record]:
    """What some commits left, in their order."""
    places = {layout.log_place(version).place: version for version in versions}
    rows = await partition.session.execute(
        partition.statements.log, [SCOPE, layout.LOG, list(places)], consistency
    )
    records = []
    for place, part, text, written in rows:
        content = json.loads(text)
        if content["version"] == places[place]:  # else of a commit one round before
            at = written / 1e6
            events = [
                LoggedEvent(identity, node_id, at, at + delay, channel, data)
                for identity, node_id, channel, data, delay in content["events"]
            ]
            records.append(_Record(at, content["version"], part, events))
    return sorted(records, key=lambda each: (each.version, each.part))
