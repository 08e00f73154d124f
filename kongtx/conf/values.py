"""The properties as typed attributes.

Made from kongtx.conf.properties by `python -m kongtx.conf.generate`; do not edit.
"""

from __future__ import annotations

from typing import Literal

import attrs

from kongtx.conf.syntax.units import duration_seconds, size_bytes


@attrs.frozen(kw_only=True, repr=False)
class Values:
    """One attribute for each property, named as the property.

    Sizes and durations stay text, as Kong shows them; C{<name>_bytes} and
    C{<name>_seconds} are their numbers.
    """

    prefix: str
    log_level: Literal["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"]
    log_format: Literal["text", "json"]
    access_log_format: str | None
    proxy_access_log: str
    proxy_error_log: str
    proxy_stream_access_log: str
    proxy_stream_error_log: str
    admin_access_log: str
    admin_error_log: str
    status_access_log: str
    status_error_log: str
    vaults: tuple[str, ...]
    opentelemetry_tracing: tuple[str, ...]
    tracing_instrumentations: tuple[str, ...]
    opentelemetry_tracing_sampling_rate: float
    tracing_sampling_rate: float
    plugins: tuple[str, ...]
    dev: bool
    manhole: Literal["off", "unix"]
    dedicated_config_processing: bool
    privileged_worker: bool | None
    pluginserver_names: tuple[str, ...]
    port_maps: tuple[str, ...]
    anonymous_reports: bool
    proxy_server: str | None
    proxy_server_ssl_verify: bool
    error_template_html: str | None
    error_template_json: str | None
    error_template_xml: str | None
    error_template_plain: str | None
    node_id: str | None
    node_zone: str | None
    role: Literal["data_plane", "control_plane", "traditional"]
    cluster_mtls: Literal["shared", "pki"]
    cluster_cert: str | None
    cluster_cert_key: str | None
    cluster_ca_cert: str | None
    cluster_server_name: str | None
    cluster_control_plane: str
    cluster_max_payload: int
    cluster_dp_labels: tuple[str, ...]
    cluster_listen: tuple[str, ...]
    cluster_data_plane_purge_delay: int
    cluster_ocsp: Literal["on", "off", "optional"]
    cluster_use_proxy: bool
    cluster_rpc: bool
    cluster_incremental_sync: bool
    cluster_cjson: bool
    proxy_listen: tuple[str, ...]
    stream_listen: tuple[str, ...]
    admin_listen: tuple[str, ...]
    status_listen: tuple[str, ...]
    admin_auth: Literal["off", "basic", "token"]
    admin_auth_token: str | None
    admin_redact_keys: bool
    admin_auth_user: str | None
    admin_auth_password: str | None
    nginx_user: str | None
    nginx_main_user: str | None
    nginx_worker_processes: str
    nginx_main_worker_processes: str
    workers: str
    nginx_daemon: Literal["on", "off"]
    nginx_main_daemon: Literal["on", "off"]
    core_dumps: Literal["on", "off"]
    nginx_main_worker_rlimit_nofile: str
    nginx_main_worker_shutdown_timeout: str | None
    mem_cache_size: str
    openresty_path: str | None
    ssl_cipher_suite: str
    ssl_ciphers: str | None
    ssl_protocols: str
    ssl_prefer_server_ciphers: Literal["on", "off"]
    ssl_dhparam: str | None
    ssl_session_tickets: Literal["on", "off"]
    ssl_session_timeout: str
    ssl_session_cache_size: str
    ssl_cert: tuple[str, ...]
    ssl_cert_key: tuple[str, ...]
    client_ssl: bool
    client_ssl_cert: str | None
    client_ssl_cert_key: str | None
    admin_ssl_cert: tuple[str, ...]
    admin_ssl_cert_key: tuple[str, ...]
    status_ssl_cert: tuple[str, ...]
    status_ssl_cert_key: tuple[str, ...]
    debug_ssl_cert: tuple[str, ...]
    debug_ssl_cert_key: tuple[str, ...]
    nginx_http_ssl_protocols: str | None
    nginx_http_ssl_prefer_server_ciphers: str | None
    nginx_http_ssl_dhparam: str | None
    nginx_http_ssl_session_tickets: str | None
    nginx_http_ssl_session_timeout: str | None
    nginx_http_ssl_conf_command: str | None
    nginx_http_proxy_ssl_conf_command: str | None
    nginx_http_lua_ssl_conf_command: str | None
    nginx_http_grpc_ssl_conf_command: str | None
    nginx_stream_ssl_protocols: str | None
    nginx_stream_ssl_prefer_server_ciphers: str | None
    nginx_stream_ssl_dhparam: str | None
    nginx_stream_ssl_session_tickets: str | None
    nginx_stream_ssl_session_timeout: str | None
    nginx_stream_ssl_conf_command: str | None
    nginx_stream_proxy_ssl_conf_command: str | None
    nginx_stream_lua_ssl_conf_command: str | None
    nginx_proxy_ssl_verify_client: Literal["off", "on", "optional", "optional_no_ca"]
    nginx_proxy_ssl_client_certificate: str | None
    nginx_proxy_ssl_crl: str | None
    nginx_proxy_ssl_verify_depth: int
    nginx_admin_ssl_verify_client: Literal["off", "on", "optional"]
    nginx_admin_ssl_client_certificate: str | None
    nginx_admin_ssl_crl: str | None
    nginx_admin_ssl_verify_depth: int
    nginx_status_ssl_verify_client: Literal["off", "on", "optional"]
    nginx_status_ssl_client_certificate: str | None
    nginx_status_ssl_crl: str | None
    nginx_status_ssl_verify_depth: int
    acme_challenge: Literal["auto", "http-01", "tls-alpn-01"]
    headers: tuple[str, ...]
    headers_upstream: tuple[str, ...]
    trusted_ips: tuple[str, ...]
    real_ip_header: str
    real_ip_recursive: Literal["on", "off"]
    nginx_proxy_real_ip_header: str
    nginx_proxy_real_ip_recursive: Literal["on", "off"]
    error_default_type: Literal["application/json", "application/xml", "text/html", "text/plain"]
    upstream_keepalive_pool_size: int
    upstream_keepalive_max_requests: int
    upstream_keepalive_idle_timeout: float
    upstream_max_connections: int
    allow_debug_header: bool
    request_debug: bool
    request_debug_token: str | None
    nginx_events_worker_connections: str
    nginx_events_multi_accept: Literal["on", "off"]
    nginx_http_client_header_buffer_size: str
    nginx_http_large_client_header_buffers: str
    nginx_http_client_max_body_size: str
    nginx_admin_client_max_body_size: str
    nginx_http_client_header_timeout: str
    nginx_http_client_body_timeout: str
    nginx_http_send_timeout: str
    nginx_http_keepalive_timeout: str
    nginx_http_keepalive_requests: int
    nginx_http_charset: str
    nginx_http_client_body_buffer_size: str
    nginx_admin_client_body_buffer_size: str
    client_body_buffer_size: str
    nginx_http_lua_regex_match_limit: int
    nginx_http_lua_regex_cache_max_entries: int
    database: Literal["sqlite", "postgres", "cassandra", "off"]
    sqlite_path: str
    pg_host: str
    pg_port: int
    pg_timeout: int
    pg_user: str | None
    pg_password: str | None
    pg_database: str
    pg_schema: str | None
    pg_ssl: bool
    pg_ssl_verify: bool
    pg_ssl_required: bool
    pg_ssl_version: Literal["tlsv1_1", "tlsv1_2", "tlsv1_3", "any"]
    pg_max_concurrent_queries: int
    pg_semaphore_timeout: int
    pg_keepalive_timeout: int | None
    pg_pool_size: int | None
    pg_backlog: int | None
    _debug_pg_ttl_cleanup_interval: int = attrs.field(alias="_debug_pg_ttl_cleanup_interval")
    pg_ro_host: str | None
    pg_ro_port: int | None
    pg_ro_timeout: int | None
    pg_ro_user: str | None
    pg_ro_password: str | None
    pg_ro_database: str | None
    pg_ro_schema: str | None
    pg_ro_ssl: bool | None
    pg_ro_ssl_verify: bool | None
    pg_ro_ssl_required: bool | None
    pg_ro_ssl_version: Literal["tlsv1_1", "tlsv1_2", "tlsv1_3", "any"] | None
    pg_ro_max_concurrent_queries: int | None
    pg_ro_semaphore_timeout: int | None
    pg_ro_keepalive_timeout: int | None
    pg_ro_pool_size: int | None
    pg_ro_backlog: int | None
    cassandra_contact_points: tuple[str, ...]
    cassandra_port: int
    cassandra_keyspace: str
    cassandra_consistency: (
        Literal["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM"]
        | None
    )
    cassandra_write_consistency: Literal[
        "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM"
    ]
    cassandra_read_consistency: Literal[
        "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM"
    ]
    cassandra_timeout: int
    cassandra_ssl: bool
    cassandra_ssl_verify: bool
    cassandra_username: str | None
    cassandra_password: str | None
    cassandra_lb_policy: Literal[
        "RoundRobin", "RequestRoundRobin", "DCAwareRoundRobin", "RequestDCAwareRoundRobin"
    ]
    cassandra_local_datacenter: str | None
    cassandra_refresh_frequency: int
    cassandra_repl_strategy: Literal["SimpleStrategy", "NetworkTopologyStrategy"]
    cassandra_repl_factor: int
    cassandra_data_centers: tuple[str, ...]
    cassandra_schema_consensus_timeout: int
    declarative_config: str | None
    declarative_config_string: str | None
    lmdb_environment_path: str
    lmdb_map_size: str
    worker_events_max_payload: int
    db_update_frequency: float
    db_update_propagation: float
    db_cache_ttl: float
    db_cache_neg_ttl: float | None
    db_resurrect_ttl: float
    db_cache_warmup_entities: tuple[str, ...]
    db_start_timeout: float
    db_offline_start: bool
    dns_resolver: tuple[str, ...]
    dns_hostsfile: str | None
    dns_order: tuple[str, ...]
    dns_valid_ttl: float | None
    dns_stale_ttl: float
    dns_cache_size: int
    dns_not_found_ttl: float
    dns_error_ttl: float
    dns_no_sync: bool
    new_dns_client: bool
    resolver_address: tuple[str, ...]
    resolver_hosts_file: str | None
    resolver_family: tuple[str, ...]
    resolver_valid_ttl: float | None
    resolver_error_ttl: float
    resolver_stale_ttl: float
    resolver_lru_cache_size: int
    resolver_mem_cache_size: str
    vault_env_prefix: str | None
    worker_consistency: Literal["strict", "eventual"]
    router_consistency: Literal["strict", "eventual"]
    worker_state_update_frequency: float
    router_flavor: Literal["traditional", "traditional_compatible", "expressions"]
    lua_max_req_headers: int
    lua_max_resp_headers: int
    lua_max_uri_args: int
    lua_max_post_args: int
    lua_ssl_trusted_certificate: tuple[str, ...]
    lua_ssl_verify_depth: int
    lua_ssl_protocols: str
    nginx_http_lua_ssl_protocols: str | None
    nginx_stream_lua_ssl_protocols: str | None
    lua_package_path: str | None
    lua_package_cpath: str | None
    lua_socket_pool_size: int
    untrusted_lua: Literal["on", "off", "sandbox"]
    untrusted_lua_sandbox_requires: tuple[str, ...]
    untrusted_lua_sandbox_environment: tuple[str, ...]
    kic: bool
    admin_gui_listen: tuple[str, ...]
    admin_gui_url: tuple[str, ...]
    admin_gui_path: str
    admin_gui_api_url: str | None
    admin_gui_ssl_cert: tuple[str, ...]
    admin_gui_ssl_cert_key: tuple[str, ...]
    admin_gui_access_log: str
    admin_gui_error_log: str
    wasm: bool
    wasm_filters_path: str | None
    wasm_filters: tuple[str, ...]
    wasm_dynamic_module: str | None

    @property
    def nginx_main_worker_shutdown_timeout_seconds(self) -> float | None:
        """C{nginx_main_worker_shutdown_timeout} in seconds."""
        text = self.nginx_main_worker_shutdown_timeout
        return None if text is None else duration_seconds(text)

    @property
    def mem_cache_size_bytes(self) -> int:
        """C{mem_cache_size} in bytes."""
        return size_bytes(self.mem_cache_size)

    @property
    def ssl_session_timeout_seconds(self) -> float:
        """C{ssl_session_timeout} in seconds."""
        return duration_seconds(self.ssl_session_timeout)

    @property
    def ssl_session_cache_size_bytes(self) -> int:
        """C{ssl_session_cache_size} in bytes."""
        return size_bytes(self.ssl_session_cache_size)

    @property
    def nginx_http_client_header_buffer_size_bytes(self) -> int:
        """C{nginx_http_client_header_buffer_size} in bytes."""
        return size_bytes(self.nginx_http_client_header_buffer_size)

    @property
    def nginx_http_client_max_body_size_bytes(self) -> int:
        """C{nginx_http_client_max_body_size} in bytes."""
        return size_bytes(self.nginx_http_client_max_body_size)

    @property
    def nginx_admin_client_max_body_size_bytes(self) -> int:
        """C{nginx_admin_client_max_body_size} in bytes."""
        return size_bytes(self.nginx_admin_client_max_body_size)

    @property
    def nginx_http_client_header_timeout_seconds(self) -> float:
        """C{nginx_http_client_header_timeout} in seconds."""
        return duration_seconds(self.nginx_http_client_header_timeout)

    @property
    def nginx_http_client_body_timeout_seconds(self) -> float:
        """C{nginx_http_client_body_timeout} in seconds."""
        return duration_seconds(self.nginx_http_client_body_timeout)

    @property
    def nginx_http_send_timeout_seconds(self) -> float:
        """C{nginx_http_send_timeout} in seconds."""
        return duration_seconds(self.nginx_http_send_timeout)

    @property
    def nginx_http_keepalive_timeout_seconds(self) -> float:
        """C{nginx_http_keepalive_timeout} in seconds."""
        return duration_seconds(self.nginx_http_keepalive_timeout)

    @property
    def nginx_http_client_body_buffer_size_bytes(self) -> int:
        """C{nginx_http_client_body_buffer_size} in bytes."""
        return size_bytes(self.nginx_http_client_body_buffer_size)

    @property
    def nginx_admin_client_body_buffer_size_bytes(self) -> int:
        """C{nginx_admin_client_body_buffer_size} in bytes."""
        return size_bytes(self.nginx_admin_client_body_buffer_size)

    @property
    def client_body_buffer_size_bytes(self) -> int:
        """C{client_body_buffer_size} in bytes."""
        return size_bytes(self.client_body_buffer_size)

    @property
    def lmdb_map_size_bytes(self) -> int:
        """C{lmdb_map_size} in bytes."""
        return size_bytes(self.lmdb_map_size)

    @property
    def resolver_mem_cache_size_bytes(self) -> int:
        """C{resolver_mem_cache_size} in bytes."""
        return size_bytes(self.resolver_mem_cache_size)
