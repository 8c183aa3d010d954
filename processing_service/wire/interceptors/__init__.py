"""Each cross-cutting concern once, for servers and clients."""
