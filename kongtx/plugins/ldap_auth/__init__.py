"""The ldap-auth plugin."""
