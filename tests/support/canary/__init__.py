"""The canary: every operation and every failure with marked secrets, and the search for them. Used by tests/secrets."""
