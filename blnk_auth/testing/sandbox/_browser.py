"""Acts as a user with a browser: opens the authorization page, submits the form, reads the redirect.

Used by `Sandbox.sign_in`, by the demo and by tests. It promises to send what a browser would send. It trusts any
certificate, since the sandbox's is made for the test. It never follows the redirect to the client.
"""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import urlencode, urlsplit

_TIMEOUT = 30.0


def sign_in(authorization_url: str, *, subject: str, approve: bool) -> str:
    """Sign in over HTTP. It blocks, and may be called from any thread.

    Args:
        authorization_url: The URL that the client sends the user to.
        subject: The name that the user signs in with.
        approve: True if the user approves, False if the user denies.

    Returns:
        The callback URL to which the browser is redirected. It is not followed.

    Raises:
        ValueError: The server shows an error page instead of asking for consent. The error has its status.
    """
    address = urlsplit(authorization_url)
    connection = _connection(address.scheme, address.hostname or "", address.port)
    target = f"{address.path}?{address.query}"
    try:
        page = _exchange(connection, "GET", target)
        if page.status == 200:
            form = urlencode({"subject": subject, "decision": "approve" if approve else "deny"})
            page = _exchange(connection, "POST", target, form)
    finally:
        connection.close()
    location = page.getheader("Location")
    if location is None:
        raise ValueError(
            f"authorization_url: the sandbox answered {page.status} with a page instead of a redirect; "
            "check its client_id and redirect_uri, and open the URL in a browser to read the page"
        )
    return location


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=_TIMEOUT)
    # The sandbox is on loopback, with a certificate that was made for the test.
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=_TIMEOUT, context=trusting)


def _exchange(connection: HTTPConnection, method: str, target: str, form: str | None = None) -> HTTPResponse:
    headers = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, target, form, headers)
    response = connection.getresponse()
    # Both requests use one connection, which is free only once the body is read.
    response.read()
    return response
