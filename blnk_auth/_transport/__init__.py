"""How the authorization server is reached: through requests, httpx or httpx2, within one deadline.

Used by `client`, `_renewal` and `Provider.discover`. A response is handed on only if it arrived whole; it is not judged
here.

* `network`: the settings, and the choice of the package.
* `requests`, `httpx`: one transport for each kind of package.
* `deadline`, `body`, `failures`, `tls`: what both have in common.
"""
