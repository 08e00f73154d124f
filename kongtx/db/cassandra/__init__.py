"""Entities in Cassandra, which the nodes of a cluster share.

One partition
=============

The whole configuration (entities, indexes, tags, the log of changes) is one partition of the table
C{configuration}. That is what Cassandra is transactional about: the statements of one conditional
batch are applied to a partition all at once or not at all, and are seen so. The partition counts
its commits in the static column C{version}:

 1. read what the writes need to know, at C{QUORUM}; every row comes with C{version};
 2. decide in memory (L{kongtx.db.cassandra.planning}): keys, uniqueness, references, cascades;
 3. apply the difference in one batch C{IF version} is still the one that was read.

If another writer was faster, all begins anew. So writes are serializable: no index can be taken
twice, no parent vanish under a new child, and no half of a commit is ever seen. C{SERIAL} and
C{QUORUM} reach over all data centres, whatever is configured for plain reads; with
C{LOCAL_SERIAL}, two data centres could both give away one name.

Writes that wait while another commit is under way are committed together, each with its own
outcome, as their number is limited by the round trips of a commit and not by its size.

A row's place is (kind, place, key):

 - C{entity}, its table, its key: the entity as JSON;
 - C{index}, C{table.field=value}, the entity's key: for fields that are searched by (unique ones,
   references, those unique together); values too long for a clustering column by their digest;
 - C{tag}, the tag, entity and table: who has a tag;
 - C{use}, nothing, entity, table and tag: all uses of tags in their order;
 - C{expiry}, nothing, moment, table and key: what will expire, the next first;
 - C{table}, nothing, a table's name: how the table was indexed, so that rows of a plugin that is
   not enabled still go with their parents, and new indexes are filled;
 - C{log}, C{version} modulo L{layout.RING}: what a commit announced to other nodes.

Large commits
=============

A batch is limited (L{parcels.BATCH_BYTES}). A larger commit is first written to the table
C{intents}, in parts which nobody looks at; then one small batch adds one to C{version} and names
the intents in the static column C{pending}: from here on the commit has happened. Whoever finds
C{pending} in what it reads, writer or reader, first applies the intents to the partition, with the
timestamp of C{pending} itself: as if they had been in that batch, however often and however late
somebody applies them.

A commit that was not answered
==============================

A timeout does not tell whether a batch was applied. Each commit leaves its id in the log, in a
place that follows from its version, so the next look (C{SERIAL}) tells.

Rows by themselves
==================

Rows of tables without indexes, references and tags (counters of rate limits) change too often for
this. Each is a partition of the table C{counts}, changed by compare-and-set, and with a TTL; adds
that wait for another add to their row are made together. Several of them in one C{apply} are not
all or none.

Limits
======

The practical limit of the partition is some 100 MB: 50 000 entities of 1 KB with their indexes, at
which a commit takes no longer than in an empty one. One row may have 8 MB.

All writes of all nodes go through one version, so nodes that write at the same time take turns:
some fifty commits a second, of which each takes along whatever waits in its node.
"""

from kongtx.db.cassandra.connector import CassandraConnector
from kongtx.db.cassandra.settings import Settings

__all__ = ["CassandraConnector", "Settings"]
