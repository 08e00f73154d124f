"""What pytest loads wherever kongtx is installed (entry point C{pytest11}).

That may be where nobody tests plugins: without the extra C{testing} it brings nothing, rather than
ending every run of pytest.
"""

from importlib.util import find_spec

pytest_plugins = ["kongtx.testing.fixtures"] if find_spec("pytest_twisted") else []
