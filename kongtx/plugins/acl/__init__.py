"""The acl plugin."""

from kongtx.plugins.acl.handler import ACL

plugin = ACL()
