"""Inside a pool process: ``runner`` runs handlers, one after the other, and reports."""
