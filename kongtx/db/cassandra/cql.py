"""Tables and statements of one keyspace."""

from __future__ import annotations

from collections.abc import Mapping

#: All tables but that of the locks, one of which is held while the others are removed.
TABLES = ("configuration", "intents", "counts", "migrations")
LOCKS = "locks"

#: Kept so long, intents are applied or forgotten by then (see the package's documentation).
INTENT_SECONDS = 10 * 86400


def quote(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as a constant."""
    return "'" + value.replace("'", "''") + "'"


class Statements:
    """The statements on a keyspace.

    Those that write take a TTL of 0 for none.
    """

    def __init__(self, keyspace: str) -> None:
        self._keyspace = keyspace
        table = {name: f"{quote(keyspace)}.{name}" for name in (*TABLES, LOCKS)}
        rows, counts, locks = table["configuration"], table["counts"], table[LOCKS]
        where = "WHERE scope = ? AND kind = ? AND place = ? AND key"
        state = "version, layout, pending"
        # The partition as a whole.
        self.state = (
            f"SELECT DISTINCT {state}, WRITETIME(version), WRITETIME(pending), "
            f"toUnixTimestamp(now()) FROM {rows} WHERE scope = ?"
        )
        self.advance = f"UPDATE {rows} SET version = ? WHERE scope = ? IF version = ?"
        self.advance_all = (
            f"UPDATE {rows} SET version = ?, layout = ?, pending = ? WHERE scope = ? IF version = ?"
        )
        self.settle = f"UPDATE {rows} SET pending = null WHERE scope = ? IF pending = ?"
        # Reading for a commit.
        self.get_rows = (
            f"SELECT {state}, kind, place, key, value FROM {rows} "
            "WHERE scope = ? AND (kind, place, key) IN ?"
        )
        self.get_places = (
            f"SELECT {state}, kind, place, key FROM {rows} WHERE scope = ? AND (kind, place) IN ?"
        )
        # Plain reads.
        self.get = f"SELECT pending, key, value FROM {rows} {where} = ?"
        self.get_several = f"SELECT pending, key, value FROM {rows} {where} IN ?"
        self.page = f"SELECT pending, key, value FROM {rows} {where} > ? LIMIT ?"
        self.keys = f"SELECT pending, key FROM {rows} {where} > ? LIMIT ?"
        self.keys_from = f"SELECT pending, key FROM {rows} {where} >= ? AND key < ? LIMIT ?"
        self.log = (
            f"SELECT place, key, value, WRITETIME(value) FROM {rows} "
            "WHERE scope = ? AND kind = ? AND place IN ?"
        )
        # Writing; the second of each pair is for applying intents.
        columns = "(scope, kind, place, key, value) VALUES (?, ?, ?, ?, ?)"
        self.put = f"INSERT INTO {rows} {columns} USING TTL ?"
        self.put_at = f"INSERT INTO {rows} {columns} USING TTL ? AND TIMESTAMP ?"
        self.remove = f"DELETE FROM {rows} {where} = ?"
        self.remove_at = f"DELETE FROM {rows} USING TIMESTAMP ? {where} = ?"
        self.put_intent = (
            f"INSERT INTO {table['intents']} (id, part, content) VALUES (?, ?, ?) "
            f"USING TTL {INTENT_SECONDS}"
        )
        self.get_intents = f"SELECT part FROM {table['intents']} WHERE id = ?"
        self.get_intent = f"SELECT content FROM {table['intents']} WHERE id = ? AND part = ?"
        self.remove_intents = f"DELETE FROM {table['intents']} WHERE id = ?"
        # Rows by themselves.
        self.count = f"SELECT value FROM {counts} WHERE kind = ? AND key = ?"
        self.counts = f"SELECT key, value FROM {counts} WHERE kind = ? ALLOW FILTERING"
        self.set_count = (
            f"UPDATE {counts} USING TTL ? SET value = ? WHERE kind = ? AND key = ? IF value = ?"
        )
        self.remove_count = f"DELETE FROM {counts} WHERE kind = ? AND key = ? IF value = ?"
        # Migrations and locks.
        self.migrations = f"SELECT subsystem, name, pending FROM {table['migrations']}"
        self.record = (
            f"INSERT INTO {table['migrations']} (subsystem, name, pending, at) "
            "VALUES (?, ?, ?, toTimestamp(now()))"
        )
        self.take_lock = (
            f"INSERT INTO {locks} (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?"
        )
        self.keep_lock = f"UPDATE {locks} USING TTL ? SET owner = ? WHERE name = ? IF owner = ?"
        self.release_lock = f"DELETE FROM {locks} WHERE name = ? IF owner = ?"

    def probe(self, table: str) -> str:
        """Read something of a table, to see whether it is there."""
        return f"SELECT * FROM {quote(self._keyspace)}.{table} LIMIT 1"

    def create_keyspace(self, replication: Mapping[str, str]) -> str:
        """Make the keyspace."""
        options = ", ".join(f"{text(name)}: {text(value)}" for name, value in replication.items())
        return (
            f"CREATE KEYSPACE IF NOT EXISTS {quote(self._keyspace)} "
            f"WITH replication = {{{options}}}"
        )

    def find_keyspace(self) -> str:
        """Find whether the keyspace exists."""
        return (
            "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = "
            f"{text(self._keyspace)}"
        )

    def create_tables(self) -> dict[str, str]:
        """Make the tables, by name."""
        columns = {
            "configuration": (
                "scope text, version bigint static, layout text static, pending text static, "
                "kind text, place text, key text, value text, "
                "PRIMARY KEY (scope, kind, place, key)"
            ),
            "intents": "id text, part int, content text, PRIMARY KEY (id, part)",
            "counts": "kind text, key text, value text, PRIMARY KEY ((kind, key))",
            "migrations": (
                "subsystem text, name text, pending boolean, at timestamp, "
                "PRIMARY KEY (subsystem, name)"
            ),
            LOCKS: "name text PRIMARY KEY, owner text",
        }
        return {
            name: f"CREATE TABLE IF NOT EXISTS {quote(self._keyspace)}.{name} ({body})"
            for name, body in columns.items()
        }

    def drop(self, table: str) -> str:
        """Remove a table."""
        return f"DROP TABLE IF EXISTS {quote(self._keyspace)}.{table}"
