"""One file a peer; each runs in that peer's own interpreter, so it imports the peer, ``client`` and ``counter`` only."""
