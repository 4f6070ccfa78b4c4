"""How the authorization server is reached: through requests, httpx or httpx2, within one deadline.

Used by `_renewal`, `Provider.discover` and the checks of `blnk-auth doctor`. It promises that a response is returned
only if it arrived whole. It never judges a response.

* `network`: the settings, and the choice of the package.
* `requests_transport`, `httpx_transport`: one transport for each kind of package.
* `exchange`, `deadline`, `body`, `failures`, `tls`: what both have in common.
"""
