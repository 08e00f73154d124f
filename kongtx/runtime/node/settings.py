"""From configuration properties to the settings of the parts. Pure, but for the files they name."""

from __future__ import annotations

from pathlib import Path

from kongtx.admin.settings import AdminSettings
from kongtx.conf import Configuration
from kongtx.http.limits import Limits
from kongtx.proxy.gateway import GatewaySettings


def gateway_settings(conf: Configuration) -> GatewaySettings:
    """What the gateway core reads of the configuration."""
    templates = {
        "html": conf.error_template_html,
        "json": conf.error_template_json,
        "xml": conf.error_template_xml,
        "plain": conf.error_template_plain,
    }
    return GatewaySettings(
        headers=conf.headers,
        headers_upstream=conf.headers_upstream,
        trusted_ips=conf.trusted_ips,
        real_ip_header=conf.nginx_proxy_real_ip_header,
        real_ip_recursive=conf.nginx_proxy_real_ip_recursive == "on",
        error_default_type=conf.error_default_type,
        error_templates={
            kind: Path(path).read_text(encoding="utf-8") for kind, path in templates.items() if path
        },
        allow_debug_header=conf.allow_debug_header,
        show_tracebacks=conf.dev,
        port_maps=conf.host_ports,
        limits=_limits(conf),
    )


def _limits(conf: Configuration) -> Limits:
    count, size = conf.large_client_header_buffers
    return Limits(
        request_line=size,
        header_line=size,
        header_bytes=count * size + conf.nginx_http_client_header_buffer_size_bytes,
        body_bytes=conf.nginx_http_client_max_body_size_bytes,
        keepalive_requests=int(conf.nginx_http_keepalive_requests),
        header_timeout=conf.nginx_http_client_header_timeout_seconds,
        body_timeout=conf.nginx_http_client_body_timeout_seconds,
    )


def admin_settings(conf: Configuration) -> AdminSettings:
    """What the Admin API reads of the configuration."""
    password, token = conf.admin_auth_password, conf.admin_auth_token
    return AdminSettings(
        server=AdminSettings().server if conf.enabled_headers["Server"] else None,
        latency=conf.enabled_headers["X-Kong-Admin-Latency"],
        origins=conf.admin_gui_origins,
        body_limit=conf.nginx_admin_client_max_body_size_bytes,
        database=conf.database,
        role=conf.role,
        wasm=conf.wasm,
        auth=conf.admin_auth,
        redacts_keys=conf.admin_redact_keys,
        users={conf.admin_auth_user: password} if conf.admin_auth_user and password else {},
        tokens={"admin_auth_token": token} if token else {},
    )
