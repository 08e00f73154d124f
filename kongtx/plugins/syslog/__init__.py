"""The syslog plugin."""
