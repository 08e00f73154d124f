"""The udp-log plugin."""
