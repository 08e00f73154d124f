"""Properties of hybrid mode: control planes with a database, data planes without."""

import math

from kongtx.conf.properties.model import (
    Bounds,
    Mark,
    Section,
    array,
    at_least,
    boolean,
    enumeration,
    integer,
    string,
)
from kongtx.conf.syntax.addresses import parse_address


def _host_port(value: str) -> str | None:
    try:
        has_port = parse_address(value).port is not None
    except ValueError:
        has_port = False
    return None if has_port else f" must be of the form host:port, got '{value}'"


SECTION = Section(
    "Hybrid mode",
    "A control plane owns the database and hands its configuration to data planes, which need no "
    "database. Certificates and keys may be given as a path, as PEM text, or as PEM text in "
    "base64.",
    (
        enumeration(
            "role",
            "traditional",
            ("data_plane", "control_plane", "traditional"),
            """What the node is: ``traditional`` (no hybrid mode), ``control_plane`` (has the
            database, configures others, proxies nothing) or ``data_plane`` (proxies what a
            control plane tells it).""",
        ),
        enumeration(
            "cluster_mtls",
            "shared",
            ("shared", "pki"),
            """How the nodes prove who they are: ``shared`` by one certificate that all of them
            hold, ``pki`` by certificates of their own that ``cluster_ca_cert`` has signed.""",
        ),
        string(
            "cluster_cert",
            None,
            """Certificate that the node shows to other nodes; ``kongtx hybrid gen_cert`` makes
            one for ``shared`` mode.""",
        ),
        string("cluster_cert_key", None, "Private key of ``cluster_cert``.", sensitive=True),
        string(
            "cluster_ca_cert",
            None,
            "Certificate of the authority that signed the nodes' certificates in ``pki`` mode.",
        ),
        string(
            "cluster_server_name",
            None,
            """Server name that a data plane asks the control plane for, in ``pki`` mode; it
            must be in the control plane's certificate.""",
        ),
        string(
            "cluster_control_plane",
            "127.0.0.1:8005",
            "``host:port`` of the control plane, on data planes.",
            check=_host_port,
        ),
        integer(
            "cluster_max_payload",
            "16777216",
            """Largest compressed configuration, in bytes, that goes from a control plane to a
            data plane.""",
            check=Bounds(4194304, math.inf, "must be 4194304 (4MB) or greater"),
        ),
        array(
            "cluster_dp_labels",
            None,
            """Labels (``key:value``) that a data plane tells the control plane about itself; at
            most ten.""",
        ),
        array(
            "cluster_listen",
            "0.0.0.0:8005",
            """Addresses on which a control plane waits for data planes. The port always speaks
            mutual TLS. Only a control plane listens on it.""",
        ),
        integer(
            "cluster_data_plane_purge_delay",
            "1209600",
            """Seconds after which a data plane that stays away is dropped from the list of
            known ones (the default is two weeks).""",
            check=at_least(60),
        ),
        enumeration(
            "cluster_ocsp",
            "off",
            ("on", "off", "optional"),
            """Whether a control plane asks (OCSP) if a data plane's certificate was revoked;
            ``optional`` lets the data plane in when nobody can tell.""",
        ),
        boolean(
            "cluster_use_proxy",
            "off",
            "Whether a data plane reaches its control plane through ``proxy_server``.",
        ),
        boolean(
            "cluster_rpc",
            "off",
            "Kong's experimental calls between planes.",
            mark=Mark.NGINX,
            hidden=True,
        ),
        boolean(
            "cluster_incremental_sync",
            "off",
            "Kong's experimental incremental synchronisation.",
            mark=Mark.NGINX,
            hidden=True,
        ),
        boolean(
            "cluster_cjson",
            "off",
            "Kong's choice of a JSON library for hybrid mode.",
            mark=Mark.NGINX,
            hidden=True,
        ),
    ),
)
