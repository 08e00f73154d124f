"""tls-handshake-modifier: what it is made of; what it does is tested with tls-metadata-headers."""

from zope.interface.verify import verifyObject

from kongtx.plugins.interfaces import IPlugin
from kongtx.plugins.tls_handshake_modifier import plugin
from kongtx.testing.plugins import PluginRunner


def test_it_is_a_plugin_that_asks() -> None:
    assert verifyObject(IPlugin, plugin)
    assert (plugin.name, plugin.priority) == ("tls-handshake-modifier", 997)
    assert plugin.asks_client_certificate
    assert PluginRunner(plugin).bound.config == {"tls_client_certificate": "REQUEST"}
