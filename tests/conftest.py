"""Settings for every test."""

import pytest
from hypothesis import settings

#: Also an entry point; named here for checkouts that were installed before it was one.
pytest_plugins = ["kongtx.testing.fixtures"]

settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let hypothesis and parametrize meet: pytest-twisted wraps a shared function once a case."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is not None:
        handle.inner_test = vars(handle).setdefault("unwrapped_test", handle.inner_test)
