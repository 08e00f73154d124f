"""The one place where versions are written."""

__version__ = "0.1.0"

#: The version of Kong Gateway whose contract is spoken; clients gate features on it.
KONG_VERSION = "3.9.1"
