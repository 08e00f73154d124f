"""What a master tells a worker when it starts it, and how.

Descriptor 0 of a worker is a pipe from its master: first comes the description, one line of JSON,
then nothing; its end means that the master is gone. Descriptor 3 leads back: what a worker writes
there is the reason why it could not start. From 4 on there are listening sockets.
"""

from __future__ import annotations

import json
import os
from typing import Any

import attrs
from attrs import frozen

from kongtx.runtime.privileges import User

#: The descriptor on which a worker says why it could not start.
REPORT_FD = 3
#: The first descriptor of a listening socket.
FIRST_LISTENING_FD = 4
#: What a worker runs when nothing else is said.
DEFAULT_NODE = "kongtx.runtime.node.composition.build_node"


@frozen
class Launch:
    """All that a worker must know beside its configuration, which it reads in the prefix.

    @ivar generation: counts the reloads, from 1.
    @ivar reactor: name of the reactor: C{kongtx}, or one of Twisted's.
    @ivar node: dotted name of a L{kongtx.runtime.interfaces.NodeBuilder}.
    @ivar user: whom to become; L{None} to stay who the master is.
    @ivar listeners: see L{kongtx.runtime.listeners.describe}.
    """

    worker_id: int
    worker_count: int
    generation: int
    prefix: str
    events_path: str
    node: str = DEFAULT_NODE
    reactor: str = "kongtx"
    user: User | None = None
    listeners: list[dict[str, Any]] = attrs.field(factory=list)

    def to_bytes(self) -> bytes:
        """The line that a worker reads."""
        return json.dumps(attrs.asdict(self)).encode() + b"\n"

    @classmethod
    def from_bytes(cls, line: bytes) -> Launch:
        """Read what L{to_bytes} made."""
        fields = json.loads(line)
        user = fields.pop("user")
        return cls(user=User(**user) if user else None, **fields)


def read_launch(fd: int) -> Launch:
    """Read the description from the master's pipe; waits until it is whole."""
    line = bytearray()
    while not line.endswith(b"\n"):
        read = os.read(fd, 65_536)
        if not read:
            raise EOFError("the master went away before it had said what to do")
        line += read
    return Launch.from_bytes(bytes(line))
