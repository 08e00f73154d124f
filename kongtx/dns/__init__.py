"""The resolver: hosts, resolv.conf, records, SRV choice."""
