"""How the authorization server is reached: through requests, httpx or httpx2, within a deadline."""
