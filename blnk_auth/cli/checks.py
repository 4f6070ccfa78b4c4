"""The checks of `blnk-auth doctor`: those of the server, and the list of all.

Used by the command `doctor` only. What it promises:

* No check changes a grant, and none spends a token.
* An error of one check is its finding, and so is a check that does not end: it never stops the others.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from .._protocol.http_messages import HttpRequest, NoResponse
from .._protocol.origins import Origin
from .._transport.client_certificate import EXPIRY_WARNING, expiry_of
from .._transport.network import transport_for
from ..client import OAuthClient
from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired
from ..provider import Provider
from ..stores._memory import MemoryStore
from ..token import Token
from .checks_here import check_configuration, check_permissions, check_proxy, check_redirect, check_store
from .finding import ENDPOINTS, PATIENCE, TIMEOUT, CheckedSetup, Finding, FindingVerdict, finding_of
from .remedies import remedy_of
from .terminal import time_left, waiting

_SKEW_WARNING, _SKEW_FAILURE = 30.0, 300.0
LIMIT = 30.0
"""Seconds for one check."""

_CHECK_NETWORK = "check that the server runs at this address, and check network, firewall and proxy"
_ASK = "ask its operator whether that is intended"
_NOT_FOR_THIS_GRANT = ("unauthorized_client", "unsupported_grant_type")
_REFUSES_CLIENT = ("invalid_client", "unauthorized_client")


def check_dns(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the hosts of the endpoints have addresses."""
    for origin in setup.origins:
        if setup.proxy_for(origin) is not None:
            yield Finding("dns", "ok", f"not checked: the proxy looks up {origin.host}")
            continue
        try:
            found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except OSError as error:
            remedy = "check the host's spelling, this machine's network and its DNS"
            yield Finding("dns", "unavailable", f"{origin.host} has no address ({error.strerror})", remedy)
        else:
            addresses = dict.fromkeys(str(address[4][0]) for address in found)
            yield Finding("dns", "ok", f"{origin.host} is {', '.join(addresses)}")


def check_tls(setup: CheckedSetup) -> Iterator[Finding]:
    """The server's certificate, and the client's own."""
    for origin in setup.origins:
        if origin.scheme != "https":
            yield Finding("tls", "ok", f"{origin} is this machine, which needs no TLS")
            continue
        if setup.proxy_for(origin) is not None:
            yield Finding("tls", "ok", f"not checked here: {origin} is reached through a proxy")
            continue
        yield _handshake(origin, setup.network.tls or ssl.create_default_context())
    cert = setup.profile.settings.get("cert")
    if cert is not None:
        yield _own_certificate(Path(cert))


def _handshake(origin: Origin, context: ssl.SSLContext) -> Finding:
    try:
        with (
            socket.create_connection((origin.host, origin.port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=origin.host) as secured,
        ):
            certificate, version = secured.getpeercert() or {}, secured.version()
    except ssl.SSLCertVerificationError as refused:
        remedy = "if your network inspects TLS, set verify to its certificate authority; otherwise do not continue"
        return Finding("tls", "failed", f"{origin}: certificate refused ({refused.verify_message})", remedy)
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Finding("tls", "unavailable", f"{origin} cannot be reached ({why})", _CHECK_NETWORK)
    expires_at = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return _certificate_finding(f"{origin}: {version}, certificate", expires_at, "its operator must renew it")


def _own_certificate(path: Path) -> Finding:
    try:
        expires_at = expiry_of(path.read_bytes())
    except OSError as error:
        return Finding("certificate", "failed", f"{path} cannot be read ({type(error).__name__})", "give a PEM file")
    if expires_at is None:
        return Finding("certificate", "failed", f"{path} cannot be read (it has no certificate)", "give a PEM file")
    return _certificate_finding(str(path), expires_at, "renew it and register the new one")


def _certificate_finding(what: str, expires_at: float, remedy: str) -> Finding:
    left = expires_at - time.time()
    if left <= 0:
        return Finding("certificate", "failed", f"{what} has expired", remedy)
    verdict: FindingVerdict = "ok" if left > EXPIRY_WARNING else "warning"
    return Finding("certificate", verdict, f"{what} is valid for {time_left(left)}", "" if verdict == "ok" else remedy)


def check_clock(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether this machine's clock agrees with the server's."""
    request = HttpRequest("GET", setup.provider.token_endpoint, {"Accept": "application/json"}, b"")
    asked_at = time.time()
    try:
        answer = transport_for(None, setup.network).send(request)
    except NoResponse as failure:
        yield Finding("clock", "unavailable", f"the token endpoint gave no answer ({failure})", _CHECK_NETWORK)
        return
    skew = clock_skew(answer.headers, asked_at, time.time())
    if skew is None:
        yield Finding("clock", "ok", "the server sends no time")
        return
    yield skew_finding(skew)


def clock_skew(headers: Mapping[str, str], asked_at: float, answered_at: float) -> float | None:
    """Seconds by which this clock is ahead of the server's `Date` (RFC 9110 section 6.6.1); 0 within its precision."""
    try:
        served_at = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    if asked_at - 1 <= served_at <= answered_at + 1:
        return 0.0
    return (asked_at + answered_at) / 2 - served_at


def skew_finding(skew: float) -> Finding:
    """The finding for a skew, in seconds."""
    if abs(skew) < _SKEW_WARNING:
        return Finding("clock", "ok", f"agrees with the server's within {max(1, round(abs(skew)))} s")
    detail = f"this clock is {time_left(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the server's"
    verdict: FindingVerdict = "failed" if abs(skew) >= _SKEW_FAILURE else "warning"
    return Finding("clock", verdict, detail, "set it by NTP, for example with: timedatectl set-ntp true")


def check_discovery(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the server's metadata agrees with the endpoints that are used."""
    provider = setup.provider
    if provider.issuer is None:
        yield Finding("discovery", "ok", "no issuer is known, so nothing can be compared")
        return
    try:
        described = Provider.discover(provider.issuer, **setup.profile.network_settings())
    except ProtocolError:
        yield Finding("discovery", "ok", f"{provider.issuer} publishes no metadata, so nothing can be compared")
        return
    different = [name for name in ENDPOINTS if _differ(getattr(provider, name), getattr(described, name))]
    for name in different:
        yield Finding(
            "discovery",
            "warning",
            f"{name} is {getattr(provider, name)}, but the server names {getattr(described, name)}",
            "check the profile, or use provider = 'discover'",
        )
    pushes = provider.requires_pushed_authorization_requests
    if described.requires_pushed_authorization_requests and not pushes:
        yield Finding(
            "discovery",
            "failed",
            "the server takes only sign-ins that were pushed, and this profile pushes none",
            "set requires_pushed_authorization_requests and pushed_authorization_request_endpoint, or use provider = "
            "'discover'",
        )
    elif not different:
        yield Finding("discovery", "ok", f"the metadata of {provider.issuer} agrees")


def _differ(ours: str | None, theirs: str | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


def check_credentials(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the server accepts the client's credentials.

    Asked by a refresh with a made-up refresh token: the server must authenticate the client first (RFC 6749 section 6),
    and then refuses the token. That issues and revokes nothing. A client that may not refresh asks for a token of its
    own, which is not kept.
    """
    provider = setup.provider
    if provider.target is not None:
        # Behind a platform such as bLink every call reaches a bank, on behalf of a user.
        detail = f"not checked: each token request to {provider.display_name} reaches a bank on behalf of a user"
        yield Finding("credentials", "ok", detail)
        return
    client = OAuthClient(provider, **setup.profile.client_settings(), store=MemoryStore(), policy=PATIENCE)
    if "refresh_token" in provider.grants:
        finding = _by_refresh(client)
        if finding is not None:
            yield finding
            return
    if "client_credentials" in provider.grants:
        yield _by_client_credentials(client, setup)
    else:
        detail = f"not checked: {provider.display_name} has no request for it without an effect on a grant"
        yield Finding("credentials", "ok", detail)


def _by_refresh(client: OAuthClient) -> Finding | None:
    """The finding; None if the client may not refresh, so that another grant has to show."""
    source = client.for_subject("doctor")
    source.adopt(Token(secrets.token_urlsafe(24), refresh_token=secrets.token_urlsafe(24)))
    try:
        source.renew()
    except SignInRequired:
        return Finding("credentials", "ok", "the token endpoint accepts the client")
    except ConfigurationError as error:
        may_not_refresh = error.error in _NOT_FOR_THIS_GRANT and "client_credentials" in client.provider.grants
        return None if may_not_refresh else _credentials_finding(error)
    except ProtocolError as error:
        return Finding("credentials", "warning", f"not checked: {error.problem}", remedy_of(error) or "")
    return Finding("credentials", "warning", "not checked: the token endpoint accepts any refresh token", _ASK)


def _by_client_credentials(client: OAuthClient, setup: CheckedSetup) -> Finding:
    profile = setup.profile
    source = client.for_itself(scope=profile.scope, resource=profile.resource, audience=profile.audience)
    try:
        source.token()
    except ConfigurationError as error:
        return _credentials_finding(error)
    except ProtocolError as error:
        return Finding("credentials", "warning", f"not checked: {error.problem}", remedy_of(error) or "")
    return Finding("credentials", "ok", "the token endpoint issued a token to the client, which was not kept")


def _credentials_finding(error: ConfigurationError) -> Finding:
    if error.error in _REFUSES_CLIENT or error.status_code in (None, 401, 403):
        return Finding("credentials", "failed", error.problem, remedy_of(error) or "")
    return Finding("credentials", "warning", f"not checked: {error.problem}", remedy_of(error) or "")


CHECKS: tuple[tuple[str, Callable[[CheckedSetup], Iterator[Finding]]], ...] = (
    ("configuration", check_configuration),
    ("permissions", check_permissions),
    ("redirect", check_redirect),
    ("proxy", check_proxy),
    ("dns", check_dns),
    ("tls", check_tls),
    ("clock", check_clock),
    ("discovery", check_discovery),
    ("credentials", check_credentials),
    ("store", check_store),
)


def run_checks(setup: CheckedSetup, *, limit: float = LIMIT) -> Iterator[Finding]:
    """The findings of all checks, one after the other; an error of a check is its finding.

    Args:
        setup: What is checked.
        limit: Seconds that one check may take.
    """
    for name, check in CHECKS:
        with waiting(f"Checking {name}"):
            found = _bounded(name, check, setup, limit)
        yield from found


def _bounded(
    name: str, check: Callable[[CheckedSetup], Iterator[Finding]], setup: CheckedSetup, limit: float
) -> list[Finding]:
    """The findings of one check, as far as they come in time. A driver of a database may wait for ever."""
    found: list[Finding] = []
    defects: list[BaseException] = []

    def collect() -> None:
        try:
            for each in check(setup):
                found.append(each)  # noqa: PERF402 - those found before an error, or before the limit, count
        except BlnkAuthError as error:
            found.append(finding_of(name, error))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            defects.append(error)

    thread = threading.Thread(target=collect, name=f"blnk-auth doctor {name}", daemon=True)
    thread.start()
    thread.join(limit)
    if defects:
        raise defects[0]
    if thread.is_alive():
        why = f"no result within {limit:g} seconds"
        return [*found, Finding(name, "unavailable", why, "check that what it needs can be reached, and try again")]
    return found
