"""The index: finds the highest entry that holds without looking at the others. Hot path.

Hosts are looked up by hash, whole or by the labels that a wildcard leaves; below each host lies
a radix tree of path prefixes; below each prefix a L{Leaf}, which splits by header, server name,
method, port and source once it holds more than a few entries. Every level also holds the entries
that do not care about it. Each node knows the highest rank below it, so that most are not entered.

Trees are persistent: an edit copies the nodes on its way and shares the rest. Nodes made by the
same edit are changed in place, which is what makes building a whole tree cheap.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

from kongtx.router.conditions import HostPattern, Keys
from kongtx.router.facts import Facts
from kongtx.router.leaf import Leaf
from kongtx.router.model import Entry

Edit: TypeAlias = object

_DOT = 0x2E


class PathNode:
    """A node of a radix tree over the bytes of paths.

    @ivar label: the bytes between the parent and here.
    @ivar top: no entry here or below has a higher rank.
    """

    __slots__ = ("children", "edit", "label", "leaf", "top")

    def __init__(self, label: bytes, edit: Edit) -> None:
        self.label = label
        self.edit = edit
        self.top = -1
        self.leaf: Leaf | None = None
        self.children: dict[int, PathNode] | None = None

    def own(self, edit: Edit) -> PathNode:
        """Give this node to an edit: itself when the edit made it, else a copy."""
        if self.edit is edit:
            return self
        copy = PathNode(self.label, edit)
        copy.top = self.top
        copy.leaf = self.leaf
        copy.children = None if self.children is None else dict(self.children)
        return copy

    def add(self, path: bytes, entry: Entry, keys: Keys, edit: Edit) -> PathNode:
        """Put an entry under a prefix, given from this node on."""
        node = self.own(edit)
        node.top = max(node.top, entry.rank)
        if not path:
            leaf = node.leaf if node.leaf is not None else Leaf(0, edit)
            node.leaf = leaf.add(entry, keys, edit)
            return node
        if node.children is None:
            node.children = {}
        child = node.children.get(path[0])
        if child is None:
            child = PathNode(path, edit)
        else:
            shared = _shared_length(child.label, path)
            if shared < len(child.label):
                child = _split(child, shared, edit)
        node.children[path[0]] = child.add(path[len(child.label) :], entry, keys, edit)
        return node

    def discard(self, path: bytes, entry: Entry, keys: Keys, edit: Edit) -> PathNode | None:
        """Take an entry from under a prefix; L{None} when nothing is left."""
        node = self.own(edit)
        if not path:
            node.leaf = None if node.leaf is None else node.leaf.discard(entry, keys, edit)
        elif node.children is not None and (child := node.children.get(path[0])) is not None:
            left = child.discard(path[len(child.label) :], entry, keys, edit)
            if left is not None:
                node.children[path[0]] = left
            else:
                del node.children[path[0]]
        return node if node.leaf is not None or node.children else None

    def search(self, facts: Facts, best: Entry | None) -> Entry | None:
        """Find an entry that holds and outranks C{best}; else give C{best} back."""
        path = facts.path
        floor = -1 if best is None else best.rank
        leaves: list[Leaf] = []
        node, position, end = self, 0, len(path)
        while node.top > floor:
            if node.leaf is not None:
                leaves.append(node.leaf)
            if position >= end or node.children is None:
                break
            child = node.children.get(path[position])
            if child is None or not path.startswith(child.label, position):
                break
            position += len(child.label)
            node = child
        # The longest prefix most often holds the winner.
        for leaf in reversed(leaves):
            if best is None or leaf.top > best.rank:
                best = leaf.search(facts, best)
        return best

    def collect(self, facts: Facts, found: set[Entry]) -> None:
        """Gather every entry that holds."""
        node, position = self, 0
        while True:
            if node.leaf is not None:
                node.leaf.collect(facts, found)
            if position >= len(facts.path) or node.children is None:
                return
            child = node.children.get(facts.path[position])
            if child is None or not facts.path.startswith(child.label, position):
                return
            position += len(child.label)
            node = child


def _shared_length(left: bytes, right: bytes) -> int:
    if right.startswith(left):
        return len(left)
    shared = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def _split(node: PathNode, length: int, edit: Edit) -> PathNode:
    upper = PathNode(node.label[:length], edit)
    upper.top = node.top
    lower = node.own(edit)
    lower.label = node.label[length:]
    upper.children = {lower.label[0]: lower}
    return upper


class HostIndex:
    """All entries of one subsystem, by host, then path, then the rest."""

    __slots__ = ("_any", "_edit", "_exact", "_ported", "_prefixes", "_suffixes")

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._any: PathNode | None = None
        self._exact: dict[bytes, PathNode] = {}
        self._ported: dict[tuple[bytes, int], PathNode] = {}
        self._suffixes: dict[bytes, PathNode] = {}
        self._prefixes: dict[bytes, PathNode] = {}

    def own(self, edit: Edit) -> HostIndex:
        """Give this index to an edit: itself when the edit made it, else a copy."""
        if self._edit is edit:
            return self
        copy = HostIndex(edit)
        copy._any = self._any
        copy._exact = dict(self._exact)
        copy._ported = dict(self._ported)
        copy._suffixes = dict(self._suffixes)
        copy._prefixes = dict(self._prefixes)
        return copy

    def add(self, entry: Entry, keys: Keys, edit: Edit) -> None:
        """Put an entry in; only the edit that owns this index may."""
        for path in _paths(keys):
            if keys.hosts is None:
                root = self._any if self._any is not None else PathNode(b"", edit)
                self._any = root.add(path, entry, keys, edit)
                continue
            for pattern in dict.fromkeys(keys.hosts):
                table, key = self._place(pattern)
                node = table.get(key) or PathNode(b"", edit)
                table[key] = node.add(path, entry, keys, edit)

    def discard(self, entry: Entry, keys: Keys, edit: Edit) -> None:
        """Take an entry out; only the edit that owns this index may."""
        for path in _paths(keys):
            if keys.hosts is None:
                if self._any is not None:
                    self._any = self._any.discard(path, entry, keys, edit)
                continue
            for pattern in dict.fromkeys(keys.hosts):
                table, key = self._place(pattern)
                node = table.get(key)
                left = None if node is None else node.discard(path, entry, keys, edit)
                if left is not None:
                    table[key] = left
                else:
                    table.pop(key, None)

    def _place(self, pattern: HostPattern) -> tuple[dict[Any, PathNode], Hashable]:
        if pattern.kind == "suffix":
            return self._suffixes, pattern.text
        if pattern.kind == "prefix":
            return self._prefixes, pattern.text
        if pattern.port is None:
            return self._exact, pattern.text
        return self._ported, (pattern.text, pattern.port)

    def search(self, facts: Facts) -> Entry | None:
        """Find the highest entry that holds."""
        host = facts.host
        best: Entry | None = None
        if self._ported:
            node = self._ported.get((host, facts.port))
            if node is not None:
                best = node.search(facts, best)
        node = self._exact.get(host)
        if node is not None and (best is None or node.top > best.rank):
            best = node.search(facts, best)
        if self._suffixes or self._prefixes:
            best = self._search_wildcards(facts, best)
        node = self._any
        if node is not None and (best is None or node.top > best.rank):
            best = node.search(facts, best)
        return best

    def collect(self, facts: Facts) -> list[Entry]:
        """Gather every entry that holds, the highest first."""
        host = facts.host
        dots = [at for at, byte in enumerate(host) if byte == _DOT]
        nodes = [
            self._any,
            self._exact.get(host),
            self._ported.get((host, facts.port)),
            *(self._suffixes.get(host[at:]) for at in dots),
            *(self._prefixes.get(host[: at + 1]) for at in dots),
        ]
        found: set[Entry] = set()
        for node in nodes:
            if node is not None:
                node.collect(facts, found)
        return sorted(found, key=_rank, reverse=True)

    def _search_wildcards(self, facts: Facts, best: Entry | None) -> Entry | None:
        host = facts.host
        dot = host.find(b".")
        while dot >= 0:
            node = self._suffixes.get(host[dot:])
            if node is not None and (best is None or node.top > best.rank):
                best = node.search(facts, best)
            dot += 1
            node = self._prefixes.get(host[:dot])
            if node is not None and (best is None or node.top > best.rank):
                best = node.search(facts, best)
            dot = host.find(b".", dot)
        return best


def _rank(entry: Entry) -> int:
    return entry.rank


def _paths(keys: Keys) -> tuple[bytes, ...]:
    if keys.paths is None:
        return (b"",)
    # Two equal prefixes would file an entry twice.
    return keys.paths if len(keys.paths) == 1 else tuple(dict.fromkeys(keys.paths))
