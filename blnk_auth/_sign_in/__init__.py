"""How a user signs in: authorization code, device code, interactively on this machine."""
