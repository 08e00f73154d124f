"""Properties of TLS on the listeners, and of the certificate shown to upstreams."""

from kongtx.conf.properties.model import (
    Mark,
    Property,
    Section,
    array,
    boolean,
    duration,
    enumeration,
    integer,
    size,
    string,
    switch,
    tls_versions,
)

_PEM = "a path, PEM text, or PEM text in base64"


def _hidden_copies() -> tuple[Property, ...]:
    """Kong's per subsystem copies of the ssl properties."""
    copies = []
    for subsystem in ("http", "stream"):
        for directive in (
            "ssl_protocols",
            "ssl_prefer_server_ciphers",
            "ssl_dhparam",
            "ssl_session_tickets",
            "ssl_session_timeout",
        ):
            name = f"nginx_{subsystem}_{directive}"
            about = f"Value of ``{directive}`` for {subsystem} listeners alone."
            check = tls_versions if directive == "ssl_protocols" else None
            copies.append(string(name, None, about, hidden=True, check=check))
        for directive in ("ssl", "proxy_ssl", "lua_ssl", "grpc_ssl"):
            if (subsystem, directive) != ("stream", "grpc_ssl"):
                name = f"nginx_{subsystem}_{directive}_conf_command"
                about = "OpenSSL command."
                copies.append(string(name, None, about, mark=Mark.NGINX, hidden=True))
    return tuple(copies)


def _copied(directive: str) -> tuple[str, ...]:
    return (f"nginx_http_{directive}", f"nginx_stream_{directive}")


def _clients() -> tuple[Property, ...]:
    """What listeners demand of clients; Kong hands these directives to nginx."""
    made = []
    for kind, what in (("proxy", "Proxy"), ("admin", "Admin API"), ("status", "Status API")):
        name = f"nginx_{kind}_ssl"
        choices = ("off", "on", "optional", "optional_no_ca")
        hidden = kind == "status"
        made += [
            enumeration(
                f"{name}_verify_client",
                "off",
                choices if kind == "proxy" else choices[:3],
                f"""Whether clients of {what} listeners with TLS are asked for a certificate: with
                ``on`` there is no connection without a good one, with ``optional`` there may be
                none"""
                + (
                    ", and with ``optional_no_ca`` any is taken, for plugins to look at."
                    if kind == "proxy"
                    else "."
                ),
                hidden=hidden,
            ),
            string(
                f"{name}_client_certificate",
                None,
                f"Certificates of the authorities that clients of {what} listeners must have.",
                hidden=hidden,
            ),
            string(
                f"{name}_crl",
                None,
                """Certificate revocation lists of these authorities, one of each, in one file.""",
                hidden=hidden,
            ),
            integer(
                f"{name}_verify_depth",
                "1",
                "How many certificates may stand between a client's and a trusted one.",
                hidden=hidden,
            ),
        ]
    return tuple(made)


SECTION = Section(
    "TLS",
    f"Certificates and keys may be given as {_PEM}. Lists of certificates and of their keys "
    "must be in the same order; give one pair for RSA and one for ECDSA to serve both. Where "
    "none is given kongtx makes self-signed ones below the prefix.",
    (
        string(
            "ssl_cipher_suite",
            "intermediate",
            """Protocols and ciphers of the listeners, by Mozilla's names: ``modern`` (TLS 1.3
            alone), ``intermediate``, ``old`` (everything), or ``fips``; ``custom`` takes those
            of the next properties.""",
        ),
        string(
            "ssl_ciphers",
            None,
            "Ciphers in OpenSSL's notation, when ``ssl_cipher_suite = custom``.",
        ),
        string(
            "ssl_protocols",
            "TLSv1.2 TLSv1.3",
            "Protocol versions, separated by blanks, when ``ssl_cipher_suite = custom``.",
            check=tls_versions,
            copied_to=_copied("ssl_protocols"),
        ),
        switch(
            "ssl_prefer_server_ciphers",
            "on",
            """Whether the order of the server's ciphers counts, when ``ssl_cipher_suite =
            custom``.""",
            copied_to=_copied("ssl_prefer_server_ciphers"),
        ),
        string(
            "ssl_dhparam",
            None,
            f"""Diffie-Hellman parameters: the name of a group (``ffdhe2048`` to ``ffdhe8192``),
            or {_PEM}. ``intermediate`` always takes ``ffdhe2048``.""",
            copied_to=_copied("ssl_dhparam"),
        ),
        switch(
            "ssl_session_tickets",
            "on",
            "Whether clients may resume TLS sessions by tickets.",
            copied_to=_copied("ssl_session_tickets"),
        ),
        duration(
            "ssl_session_timeout",
            "1d",
            "How long a client may resume a TLS session.",
            copied_to=_copied("ssl_session_timeout"),
        ),
        size(
            "ssl_session_cache_size",
            "10m",
            "Size of nginx's session cache.",
            mark=Mark.NGINX,
        ),
        array("ssl_cert", None, "Certificates of the proxy listeners."),
        array("ssl_cert_key", None, "Private keys of ``ssl_cert``.", sensitive=True),
        boolean(
            "client_ssl",
            "off",
            "Whether upstreams are shown a client certificate where a service names none.",
        ),
        string("client_ssl_cert", None, "That client certificate."),
        string("client_ssl_cert_key", None, "Private key of ``client_ssl_cert``.", sensitive=True),
        array("admin_ssl_cert", None, "Certificates of the Admin API."),
        array("admin_ssl_cert_key", None, "Private keys of ``admin_ssl_cert``.", sensitive=True),
        array("status_ssl_cert", None, "Certificates of the Status API."),
        array("status_ssl_cert_key", None, "Private keys of ``status_ssl_cert``.", sensitive=True),
        array(
            "debug_ssl_cert",
            None,
            "Certificates of a debug listener that only Kong's enterprise edition has.",
            mark=Mark.NGINX,
        ),
        array(
            "debug_ssl_cert_key",
            None,
            "Private keys of ``debug_ssl_cert``.",
            mark=Mark.NGINX,
            sensitive=True,
        ),
        *_hidden_copies(),
        *_clients(),
        enumeration(
            "acme_challenge",
            "auto",
            ("auto", "http-01", "tls-alpn-01"),
            """How the plugin acme proves to authorities that a name leads here: over HTTP, for
            which port 80 of the name must lead to a listener without TLS, or over TLS, for which
            its port 443 must lead to one with TLS. ``auto`` is ``http-01`` where
            ``proxy_listen`` has such a listener; if the authority does not offer one way, the
            other is gone.""",
        ),
    ),
)
