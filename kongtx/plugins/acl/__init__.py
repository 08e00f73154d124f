"""The acl plugin."""
