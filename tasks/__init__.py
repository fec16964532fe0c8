"""The job kinds that this deployment runs, one file a subject."""
