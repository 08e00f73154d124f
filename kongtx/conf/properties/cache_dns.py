"""Properties of the entity cache and of name resolution."""

from kongtx.conf.properties.model import (
    Check,
    Mark,
    Section,
    array,
    boolean,
    greater_than_zero,
    integer,
    items,
    number,
    size,
    string,
    words,
)
from kongtx.conf.syntax.addresses import parse_address


def _is_server(text: str) -> bool:
    try:
        return parse_address(text).family != "name"
    except ValueError:
        return False


_SERVERS: Check = items(
    _is_server,
    lambda item: (
        f" must be a comma separated list in the form of IPv4/6 or IPv4/6:port, got '{item}'"
    ),
)

CACHE = Section(
    "Cache of the datastore",
    "Entities that requests need are kept in memory, and dropped when some node changes them.",
    (
        number(
            "db_update_frequency",
            "5",
            """Seconds between two looks at the database for changes by other nodes. With
            PostgreSQL, news comes at once and the look is a safety net.""",
            check=greater_than_zero,
        ),
        number(
            "db_update_propagation",
            "0",
            """Seconds that a change takes to reach all replicas of the database; other nodes
            wait as long before they read it.""",
        ),
        number(
            "db_cache_ttl",
            "0",
            "Seconds that an entity is kept; 0 keeps it until it changes.",
        ),
        number(
            "db_cache_neg_ttl",
            None,
            "Seconds that the absence of an entity is kept; by default as ``db_cache_ttl``.",
            shown_default="<db_cache_ttl>",
        ),
        number(
            "db_resurrect_ttl",
            "30",
            "Seconds for which an outdated entity serves on while the database is away.",
        ),
        array(
            "db_cache_warmup_entities",
            "services",
            """Kinds of entities that Kong reads into its cache at start. Workers of kongtx hold
            what routing needs, whatever this says.""",
            mark=Mark.NGINX,
        ),
        number(
            "db_start_timeout",
            "60",
            """Seconds for which a node that starts waits for its database. Not in Kong.""",
        ),
        boolean(
            "db_offline_start",
            "off",
            """Whether a node may start while PostgreSQL or Cassandra is away, and serve by what the
            database had when it was last seen, which may be outdated. For this the node keeps a
            copy of the whole database below the prefix, secrets included, readable for its user
            alone. Not in Kong.""",
        ),
    ),
)

DNS = Section(
    "Name resolution",
    "Names of services, targets and log servers. The ``resolver_*`` properties are for the newer "
    "client (``new_dns_client = on``), the ``dns_*`` ones for the other.",
    (
        array(
            "dns_resolver",
            None,
            """Name servers, as ``address`` or ``address:port``; without a value those of
            ``/etc/resolv.conf``.""",
            check=_SERVERS,
            shown_default="those of /etc/resolv.conf",
        ),
        string(
            "dns_hostsfile",
            "/etc/hosts",
            "Hosts file, read at start; empty for none.",
            required=False,
        ),
        array(
            "dns_order",
            "LAST,SRV,A,CNAME",
            """Order in which record types are asked for: ``SRV``, ``A``, ``AAAA``, ``CNAME``,
            and ``LAST`` for the type that answered last time.""",
            check=words("LAST", "A", "AAAA", "CNAME", "SRV"),
        ),
        number(
            "dns_valid_ttl",
            None,
            "Seconds that an answer is kept, instead of the time that it says itself.",
        ),
        number(
            "dns_stale_ttl",
            "3600",
            "Seconds that an outdated answer serves on while a new one is sought.",
        ),
        integer("dns_cache_size", "10000", "Answers that are kept."),
        number(
            "dns_not_found_ttl",
            "30",
            "Seconds that empty answers and unknown names are remembered.",
        ),
        number("dns_error_ttl", "1", "Seconds that failures are remembered."),
        boolean(
            "dns_no_sync",
            "off",
            """Whether equal questions that are asked at the same time all go to the name server
            (``on``) or share one answer.""",
        ),
        boolean(
            "new_dns_client",
            "off",
            "Whether the newer client is used, whose figures ``/status/dns`` shows.",
        ),
        array(
            "resolver_address",
            None,
            "Name servers, as ``dns_resolver``.",
            check=_SERVERS,
            shown_default="those of /etc/resolv.conf",
        ),
        string("resolver_hosts_file", "/etc/hosts", "Hosts file, empty for none.", required=False),
        array(
            "resolver_family",
            "A,SRV",
            "Record types to ask for: ``A``, ``AAAA``, ``SRV``.",
            check=words("A", "AAAA", "SRV"),
        ),
        number("resolver_valid_ttl", None, "As ``dns_valid_ttl``."),
        number("resolver_error_ttl", "1", "As ``dns_error_ttl``, for empty answers too."),
        number("resolver_stale_ttl", "3600", "As ``dns_stale_ttl``."),
        integer("resolver_lru_cache_size", "10000", "Answers that a worker keeps."),
        size(
            "resolver_mem_cache_size",
            "5m",
            "Size of the answers that Kong's workers share; those of kongtx have their own.",
            mark=Mark.NGINX,
        ),
    ),
)
