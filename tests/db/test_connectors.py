"""A configuration gives the connector that it names."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: What happens where a driver is not installed.
WITHOUT = """
import sys
sys.modules["psycopg2"] = None
sys.modules["cassandra"] = None
from kongtx.conf import from_values
from kongtx.db.connectors import make_connector
from kongtx.db.errors import DatabaseError
print(type(make_connector(from_values(prefix="/nowhere"), None)).__name__)
try:
    make_connector(from_values(database=sys.argv[1]), None)
except DatabaseError as error:
    print(error)
"""


@pytest.mark.parametrize("database", ["postgres", "cassandra"])
def test_a_driver_that_is_not_installed_is_named_with_its_remedy(database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, database], capture_output=True, text=True, check=True
    )
    default, refusal = done.stdout.splitlines()
    assert default == "SQLiteConnector"
    assert refusal.startswith(
        f"database = {database} needs more packages (pip install kongtx[{database}]): "
    )
