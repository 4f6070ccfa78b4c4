"""The pages that a user sees.

Used by the authorization page and the device page. It promises a content security policy with each page. A page never
has a script, and never loads anything from another place.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from jinja2 import DictLoader, Environment, StrictUndefined

from ._answer import Answer
from ._page_templates import TEMPLATES

_TEMPLATES = Environment(loader=DictLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)

_PERMISSIONS = {
    "data:read": "read your data (data:read)",
    "data:write": "change your data (data:write)",
    "proxy:read": "read from your ledger through the proxy (proxy:read)",
    "proxy:write": "write to your ledger through the proxy (proxy:write)",
    "*": "do everything you can do (*)",
}


def consent_page(*, client_id: str, scope: str, details: Sequence[str], redirect_uri: str) -> Answer:
    """Ask for the name of the user, and whether the client may have what it asks for.

    `details` are the types of the authorization details. The form posts to the page's own URL.
    """
    permissions = [_PERMISSIONS.get(value, value) for value in scope.split()]
    permissions += [value.replace("_", " ") for value in details]
    return _page(
        200,
        "consent.html",
        # Browsers apply form-action to the redirect after a form too, so the client's origin must be listed.
        form_action=f"'self' {_csp_source(redirect_uri)}",
        client_id=client_id,
        permissions=permissions,
        redirect_uri=redirect_uri,
    )


def device_page(*, user_code: str) -> Answer:
    """Ask for the code that a device shows, for the name of the user, and whether the device may have access."""
    return _page(200, "device.html", form_action="'self'", user_code=user_code)


def done_page(done: str) -> Answer:
    """Show that the user has finished."""
    return _page(200, "done.html", form_action="'none'", done=done)


def error_page(problem: str, *, status: int = 400) -> Answer:
    """Show what is wrong, without a link to a client that may be an impostor."""
    return _page(status, "error.html", form_action="'none'", problem=problem)


def _page(status: int, template: str, *, form_action: str, **values: object) -> Answer:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action {form_action}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "cache-control": "no-store",
        # The address of this page has the state, and that of the next one the code.
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Answer(status, _TEMPLATES.get_template(template).render(nonce=nonce, **values).encode(), headers)


def _csp_source(redirect_uri: str) -> str:
    uri = urlsplit(redirect_uri)
    return f"{uri.scheme}://{uri.netloc}" if uri.scheme in ("http", "https") else f"{uri.scheme}:"
