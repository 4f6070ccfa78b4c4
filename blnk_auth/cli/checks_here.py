"""The checks of `blnk-auth doctor` on this machine: configuration, permissions, proxy, redirect and store.

Used by `checks`. It promises that a record which it writes to the store is its own, and is deleted again. It never
changes anything else.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .._sign_in.interactive_settings import is_loopback_uri
from ..config._document import is_open_to_others
from ..errors import ConfigurationError
from ..stores._token_store import TokenStore
from .finding import TIMEOUT, CheckedSetup, Finding
from .redirect import usual_redirect_uri
from .remedies import remedy_of

_KEY_IN_PEM = b"PRIVATE KEY-----"


def check_configuration(setup: CheckedSetup) -> Iterator[Finding]:
    """Check the file, the profile, and whether its secret can be read."""
    profile = setup.profile
    provider = setup.provider
    client = f"client {profile.settings['client_id']!r} of {provider.display_name}"
    file = profile.path
    has_file = file is not None and file.exists()
    where = f"profile {profile.name!r} of {file}" if has_file else "options and variables, without a file"
    yield Finding("configuration", "ok", f"{where}: {client}")
    secret = profile.settings.get("client_secret")
    if callable(secret):
        secret()
        yield Finding("secret", "ok", "client_secret is in the keyring")
    has_no_sign_in = provider.authorization_endpoint is None and provider.device_authorization_endpoint is None
    if has_no_sign_in and "authorization_code" in provider.grants:
        detail = "users cannot sign in without authorization_endpoint"
        yield Finding("configuration", "warning", detail, "set authorization_endpoint, if users are to sign in")


def check_permissions(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether other users may read a file that has a secret."""
    settings = setup.profile.settings
    named = (settings.get(name) for name in ("private_key", "dpop_key", "cert_key", "cert"))
    files = [Path(name) for name in named if isinstance(name, str)]
    exposed = [file for file in dict.fromkeys(files) if _holds_key(file) and is_open_to_others(file)]
    for file in exposed:
        yield Finding("permissions", "warning", f"other users may read {file}, which has a key", f"chmod 600 {file}")
    config = setup.profile.path
    if config is not None and config.exists() and is_open_to_others(config):
        yield Finding("permissions", "warning", "other users may read the configuration file", f"chmod 600 {config}")
        exposed.append(config)
    if not exposed:
        yield Finding("permissions", "ok", "only this user may read the configuration and the keys")


def _holds_key(file: Path) -> bool:
    try:
        return _KEY_IN_PEM in file.read_bytes() or file.suffix in (".json", ".jwk")
    except OSError:
        return False


def check_proxy(setup: CheckedSetup) -> Iterator[Finding]:
    """Through which proxy the authorization server is asked, and whether it can be reached."""
    proxies = {proxy: origin for origin in setup.origins if (proxy := setup.proxy_for(origin)) is not None}
    if not proxies:
        yield Finding("proxy", "ok", "none: the authorization server is asked directly")
    for (url, named_by), origin in proxies.items():
        parts = urlsplit(url if "://" in url else f"http://{url}")
        # Without its user name and password.
        shown = f"{parts.scheme}://{parts.hostname}:{parts.port or 80}"
        remedy = f"correct it there, or leave it out for this host: NO_PROXY={origin.host}"
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), TIMEOUT).close()
        except OSError as error:
            why = error.strerror or type(error).__name__
            detail = f"{origin} is asked through {shown} ({named_by}), which cannot be reached ({why})"
            yield Finding("proxy", "unavailable", detail, remedy)
        else:
            yield Finding("proxy", "ok", f"{origin} is asked through {shown} ({named_by})")


def check_redirect(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether `login` can listen where users are redirected to."""
    provider, uri = setup.provider, setup.profile.settings.get("redirect_uri")
    if provider.authorization_endpoint is None or "authorization_code" not in provider.grants:
        return
    if uri is None:
        uri = usual_redirect_uri(setup.profile.settings["provider"])
        yield Finding("redirect", "ok", f"redirect_uri is not set: login uses {uri}, which must be registered")
    if not is_loopback_uri(uri):
        detail = f"{uri} is not on this machine: use login with --paste, and any web application as usual"
        yield Finding("redirect", "ok", detail)
        return
    # Imports asyncio, which `blnk-auth --help` has no use for.
    from .._sign_in.loopback import listen

    parts = urlsplit(uri)
    try:
        for each in listen(parts.hostname or "", parts.port or 0):
            each.close()
    except ConfigurationError as error:
        yield Finding("redirect", "warning", error.problem, remedy_of(error) or "")
    else:
        port = f"port {parts.port}" if parts.port else "any free port"
        yield Finding("redirect", "ok", f"login can listen on {port} of {parts.hostname}")


def check_store(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the store can be locked, written, read and listed."""
    tokens = setup.client.store
    _exercise(tokens, f"doctor/{secrets.token_hex(8)}")
    yield Finding("store", "ok", f"{tokens!r} can be locked, written, read and listed")
    yield from _eviction(tokens)
    if setup.exposed is not None:
        detail = f"until now other users could read {setup.exposed}, which has tokens; only this user can now"
        yield Finding("store", "warning", detail, "if someone may have read it, log out and sign in again")


def _eviction(tokens: TokenStore) -> Iterator[Finding]:
    """Whether a Redis server drops records when its memory is full."""
    eviction_policy: Callable[[], str | None] | None = getattr(tokens, "eviction_policy", None)
    if eviction_policy is None:
        return
    policy = eviction_policy()
    if policy is None:
        yield Finding("store", "ok", "not checked: the server does not allow INFO, which has its maxmemory-policy")
    elif policy.startswith("allkeys-"):
        detail = f"the server drops records when its memory is full (maxmemory-policy {policy}), which ends sign-ins"
        yield Finding("store", "warning", detail, "set maxmemory-policy to noeviction, or use a server for tokens only")


def _exercise(tokens: TokenStore, key: str) -> None:
    with tokens.lock(key, timeout=TIMEOUT):
        try:
            version = tokens.save(key, {"doctor": 1}, expected=None)
            tokens.save(key, {"doctor": 2}, expected=version)
            tokens.load(key)
            for _ in tokens.keys(key):
                break
        finally:
            tokens.delete(key)
