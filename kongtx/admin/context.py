"""What the endpoints of a site work on."""

from __future__ import annotations

import attrs

from kongtx.admin.interfaces import IDeclarativeLoader, INodeInfo
from kongtx.admin.settings import AdminSettings
from kongtx.db.store import Store


@attrs.frozen
class AdminContext:
    """The parts of a node that its Admin API shows and steers.

    @ivar loader: the declarative configuration of a node without database; else L{None}.
    """

    store: Store
    settings: AdminSettings
    node: INodeInfo
    loader: IDeclarativeLoader | None = None
