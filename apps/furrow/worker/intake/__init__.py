"""Messages: read in bulk, buffered, handed to the ledger to be claimed, then to the pool."""
