"""What a plugin that uses the PDK wrongly is told."""

from kongtx.errors import KongtxError


class PDKError(KongtxError):
    """The root of the PDK's errors."""


class PhaseError(PDKError):
    """A function was called in a phase in which it makes no sense."""

    def __init__(self, function: str, phase: str, allowed: frozenset[str]) -> None:
        names = ", ".join(sorted(allowed))
        super().__init__(
            f"kong.{function} cannot be called in the {phase} phase; it can in: {names}"
        )
        self.function = function
        self.phase = phase


class ArgumentError(PDKError):
    """An argument is of the wrong form; the message says what would be right."""


class BodyError(PDKError):
    """A body cannot be parsed in the form it claims to have, or claims none that is known."""
