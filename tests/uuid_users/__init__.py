"""An application whose user has a UUID and logs in with an e-mail address."""
