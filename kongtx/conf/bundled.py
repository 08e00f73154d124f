"""What the word C{bundled} stands for. Kong: kong/constants.lua."""

PLUGINS = (
    "acl",
    "acme",
    "ai-prompt-decorator",
    "ai-prompt-guard",
    "ai-prompt-template",
    "ai-proxy",
    "ai-request-transformer",
    "ai-response-transformer",
    "aws-lambda",
    "azure-functions",
    "basic-auth",
    "bot-detection",
    "correlation-id",
    "cors",
    "datadog",
    "file-log",
    "grpc-gateway",
    "grpc-web",
    "hmac-auth",
    "http-log",
    "ip-restriction",
    "jwt",
    "key-auth",
    "ldap-auth",
    "loggly",
    "oauth2",
    "opentelemetry",
    "post-function",
    "pre-function",
    "prometheus",
    "proxy-cache",
    "rate-limiting",
    "redirect",
    "request-size-limiting",
    "request-termination",
    "request-transformer",
    "response-ratelimiting",
    "response-transformer",
    "session",
    "standard-webhooks",
    "statsd",
    "syslog",
    "tcp-log",
    "udp-log",
    "zipkin",
)

VAULTS = ("env",)


def loaded(names: tuple[str, ...], bundled: tuple[str, ...]) -> frozenset[str]:
    """The names in a list of plugins or vaults; C{off} as the first item means none.

    @param names: the items, among which C{bundled} stands for the second argument.
    """
    if names[:1] == ("off",):
        return frozenset()
    return frozenset(
        name
        for item in names
        if item != "off"
        for name in (bundled if item == "bundled" else (item,))
    )
