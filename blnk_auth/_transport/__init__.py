"""Sends requests to the authorization server: through requests, httpx or httpx2, within one deadline.

Used by `_renewal`, `Provider.discover` and the checks of `blnk-auth doctor`. It promises that a response is returned
only if it arrived whole. It never decides what a response means.

* `network`: the settings, and the choice of the package.
* `requests_transport`, `httpx_transport`: one transport for each kind of package.
* `exchange`, `deadline`, `body`, `failures`, `tls`: used by both transports. `client_certificate`: the client's own
  certificate, and its renewal.
* `kept_clients`: HTTP clients that are used again.
* `metadata_fetch`: fetches documents from servers that are not trusted. `addresses`: which addresses those may have.
"""
