"""Plugging a token source into an HTTP client; one module for each client, importable alone."""
