"""Properties of the web interface and of WebAssembly filters."""

import re
from urllib.parse import urlsplit

from kongtx.conf.properties.model import Mark, Section, array, boolean, items, string


def _gui_path(value: str) -> str | None:
    if not value.startswith("/"):
        return " must start with a slash ('/')"
    if len(value) > 1 and value.endswith("/"):
        return " must not end with a slash ('/')"
    if re.search(r"[^A-Za-z0-9\-_/]", value):
        return (
            " can only contain letters, digits, hyphens ('-'), underscores ('_'), and slashes ('/')"
        )
    if "//" in value:
        return " must not contain continuous slashes ('/')"
    return None


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.netloc)


MANAGER = Section(
    "Manager",
    "The web interface for the Admin API.",
    (
        array(
            "admin_gui_listen",
            "off",
            """Addresses of the web interface, or ``off``. There is no such interface yet, and
            nothing listens on them. Kong: ``0.0.0.0:8002, 0.0.0.0:8445 ssl``.""",
        ),
        array(
            "admin_gui_url",
            None,
            """Addresses under which browsers reach the web interface; only these may call the
            Admin API from a page. Without a value every page may.""",
            check=items(_is_url, lambda item: f" must be a list of http(s) URLs, got '{item}'"),
        ),
        string(
            "admin_gui_path",
            "/",
            "Path below which the web interface is served.",
            check=_gui_path,
            mark=Mark.NGINX,
        ),
        string(
            "admin_gui_api_url",
            None,
            "Address of the Admin API that the web interface is told; else it guesses.",
            mark=Mark.NGINX,
        ),
        array("admin_gui_ssl_cert", None, "Certificates of the web interface.", mark=Mark.NGINX),
        array(
            "admin_gui_ssl_cert_key",
            None,
            "Private keys of ``admin_gui_ssl_cert``.",
            mark=Mark.NGINX,
            sensitive=True,
        ),
        string(
            "admin_gui_access_log",
            "logs/admin_gui_access.log",
            "File for the access log of the web interface; ``off`` writes none.",
            mark=Mark.NGINX,
        ),
        string(
            "admin_gui_error_log",
            "logs/admin_gui_error.log",
            "File for errors of the web interface.",
            mark=Mark.NGINX,
        ),
    ),
)

WASM = Section(
    "WebAssembly",
    "Kong's proxy-wasm filters. kongtx does not run them.",
    (
        boolean("wasm", "off", "Whether Kong runs filters.", mark=Mark.NGINX),
        string("wasm_filters_path", None, "Directory of the filters.", mark=Mark.NGINX),
        array(
            "wasm_filters",
            "bundled,user",
            "Which filters Kong loads.",
            mark=Mark.NGINX,
        ),
        string(
            "wasm_dynamic_module",
            None,
            "The nginx module that runs filters.",
            mark=Mark.NGINX,
            hidden=True,
        ),
    ),
)
