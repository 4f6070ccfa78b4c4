"""Where tokens are kept; `base` says what every store guarantees, `simple` is where a store author begins."""
