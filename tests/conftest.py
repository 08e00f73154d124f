"""Settings for every test."""

import pytest
from hypothesis import settings

#: Also an entry point; named here for checkouts that were installed before it was one.
pytest_plugins = [
    "kongtx.testing.fixtures",
    "tests.cassandra_server",
    "tests.postgres_server",
]

settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, begin with what takes long, so that none is left with it alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let hypothesis and parametrize meet: pytest-twisted wraps a shared function once a case."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is not None:
        handle.inner_test = vars(handle).setdefault("unwrapped_test", handle.inner_test)
