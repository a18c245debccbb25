"""The way out for code in a sandbox: a proxy on the host that lets it reach the hosts that were named, and no other."""
