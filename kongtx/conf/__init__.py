"""Configuration: the table of properties, the loader, listen syntax. Pure."""

from kongtx.conf.configuration import Configuration, TlsPolicy
from kongtx.conf.errors import ConfigurationError, NoFileError, Problem, VaultError
from kongtx.conf.loader import from_values, load
from kongtx.conf.syntax.listen import KeepAlive, Listen, ListenSyntaxError, parse_listen

__all__ = [
    "Configuration",
    "ConfigurationError",
    "KeepAlive",
    "Listen",
    "ListenSyntaxError",
    "NoFileError",
    "Problem",
    "TlsPolicy",
    "VaultError",
    "from_values",
    "load",
    "parse_listen",
]
