"""What can be wrong with a configuration."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from kongtx.errors import KongtxError


@attrs.frozen
class Problem:
    """One thing that is wrong with a configuration.

    @ivar message: what is wrong and what would be right, in Kong's words where Kong has any.
    @ivar where: C{"FILE:LINE"}, C{"environment variable NAME"}, C{"option NAME"}, or empty when
        no single place is to blame.
    @ivar name: the property as the user wrote it, which may be an alias, or empty.
    """

    message: str
    where: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.message} [{self.where}]" if self.where else self.message


class ConfigurationError(KongtxError):
    """A configuration that cannot be used. Holds every problem found, not only the first.

    @ivar problems: a non-empty tuple of L{Problem}.
    @ivar warnings: what the administrator should be told besides; a misspelt name among them may
        be why something is missing.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NoFileError(ConfigurationError):
    """A configuration file was named and is not there."""

    def __init__(self, path: str) -> None:
        super().__init__([Problem(f"no file at: {path}")])
        self.path = path


class VaultError(KongtxError):
    """A vault reference is malformed, names no known vault, or has no value."""
