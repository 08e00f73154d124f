"""What a plugin is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import Attribute

from kongtx.schema.schema import Schema, Subschema
from twisted import plugin


class IPlugin(plugin.IPlugin):
    """A plugin: one object a worker, whatever number of configurations it has.

    It is one of Twisted's plugins as well, so that C{twisted.plugin} finds it.

    Besides these attributes it has any of the phase methods: C{rewrite}, C{access}, C{response},
    C{header_filter}, C{body_filter}, C{log}, C{certificate}, each called as
    C{method(config, kong)}, where C{config} is what L{prepare} made of the configuration that
    applies, and C{kong} the request's L{kongtx.pdk.kong.Kong}. C{rewrite}, C{access}, C{response}
    and C{log} may return a Deferred or be coroutines; C{header_filter} and C{body_filter} never
    wait.

    It may have C{idle_phases(config)}: the names of phases in which a prepared configuration has
    nothing to do. Its methods are not called then, and responses pass as if they did not exist.

    C{certificate} is called in TLS handshakes for global configurations, and never waits. Its
    C{kong} has no request: C{kong.client.tls}, C{kong.log}, C{kong.ctx} and C{kong.node} work. A
    plugin that wants to see client certificates has C{asks_client_certificate = True}: clients are
    asked where its configurations apply, as far as the routes' server names tell. One whose
    configuration has C{send_ca_dn} on names its C{ca_certificates} to them.

    It may also have C{init_worker(node)}, called once in each worker before it serves, and
    C{configure(configs)}, called after each change with the prepared configurations in force.

    A plugin with paths of its own on the Admin API has C{admin_endpoints(node)}, and on status
    listeners C{status_endpoints(node)}. Each returns, by path (C{"/my-plugin/{key}"}) and by HTTP
    method, coroutines that take a L{kongtx.admin.call.Call} and return status, JSON data (or bytes)
    and headers.
    """

    name: str = Attribute("``str``: as in ``/plugins``; lower case, words joined by hyphens.")
    version: str = Attribute("``str``: ``X.Y.Z``.")
    priority: int = Attribute("``int``: the greater runs first, in every phase.")
    subschema: Subschema = Attribute("The L{Subschema}: at least the ``config`` field.")
    entities: Sequence[Schema] = Attribute("Entities of its own, parents first.")

    def prepare(config: Mapping[str, Any]) -> Any:
        """Make what the phase methods get of a configuration; called once a configuration.

        The place for whatever can be computed before a request comes.
        """
