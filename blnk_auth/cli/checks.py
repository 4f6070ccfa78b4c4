"""The checks of `blnk-auth doctor`: each yields its findings, with what to do about them.

Used by the command `doctor` only. What it promises:

* No check changes a grant, and none spends a token.
* An error of one check is its finding: it never stops the others.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from .._protocol.http_messages import HttpRequest, NoResponse
from .._protocol.origins import Origin, endpoint_origin
from .._transport.network import Network, transport_for
from ..client import OAuthClient
from ..config import Profile
from ..config._document import is_open_to_others
from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..policy import RenewalPolicy
from ..provider import Provider
from ..stores._memory import MemoryStore
from ..stores._token_store import TokenStore
from ..token import Token
from .exit_status import CONFIGURATION, OK, UNAVAILABLE
from .remedies import remedy_of
from .terminal import time_left

FindingVerdict = Literal["ok", "warning", "failed", "unavailable"]

_TIMEOUT = 10.0
_SKEW_WARNING, _SKEW_FAILURE = 30.0, 300.0
_CERTIFICATE_WARNING = 21 * 86_400.0
_CHECK_NETWORK = "check that the server runs at this address, and check network, firewall and proxy"
_ASK = "ask its operator whether that is intended"
_REFUSES_CLIENT = ("invalid_client", "unauthorized_client")
_PATIENCE = RenewalPolicy(request_deadline=10.0)
_COMPARED = ("token_endpoint", "authorization_endpoint", "revocation_endpoint")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: The name of the check.
        verdict: `ok`; `warning` (works now); `failed` (must be fixed); `unavailable` (may work again without a fix).
        detail: What was found.
        remedy: What to do about it; empty if nothing.
    """

    check: str
    verdict: FindingVerdict
    detail: str
    remedy: str = ""

    @property
    def status(self) -> int:
        """The exit status that the finding causes."""
        return {"failed": CONFIGURATION, "unavailable": UNAVAILABLE}.get(self.verdict, OK)


def finding_of(check: str, error: BlnkAuthError) -> Finding:
    """The finding for an error that ended a check."""
    verdict: FindingVerdict = "unavailable" if isinstance(error, TemporarilyUnavailable) else "failed"
    return Finding(check, verdict, error.problem, remedy_of(error) or "")


@dataclass(frozen=True, slots=True)
class CheckedSetup:
    """What is checked.

    Attributes:
        profile: The profile that the options select.
        client: Its client.
        network: How its authorization server is reached.
        exposed: The file of the token store, if other users could read it until now.
    """

    profile: Profile
    client: OAuthClient
    network: Network
    exposed: Path | None

    @classmethod
    def of(cls, profile: Profile) -> CheckedSetup:
        """The setup of a profile. Raises `BlnkAuthError` if no client can be made of it."""
        # Looked at first: a store makes its file private when it opens it.
        file = profile.store_file()
        exposed = file if file is not None and file.exists() and is_open_to_others(file) else None
        client = profile.make(OAuthClient)
        return cls(profile, client, Network(RenewalPolicy(), **profile.network_settings()), exposed)

    @property
    def provider(self) -> Provider:
        """The provider of the client."""
        return self.client.provider

    @property
    def origins(self) -> list[Origin]:
        """The origins of the authorization server's endpoints."""
        endpoints = ((name, getattr(self.provider, name)) for name in _COMPARED)
        return list(dict.fromkeys(endpoint_origin(url, name) for name, url in endpoints if url is not None))


def check_configuration(setup: CheckedSetup) -> Iterator[Finding]:
    """Check the file, the profile, and whether its secret can be read."""
    profile = setup.profile
    provider = setup.provider
    client = f"client {profile.settings['client_id']!r} of {provider.display_name}"
    file = profile.path
    has_file = file is not None and file.exists()
    where = f"profile {profile.name!r} of {file}" if has_file else "options and variables, without a file"
    yield Finding("configuration", "ok", f"{where}: {client}")
    if file is not None and has_file and is_open_to_others(file):
        yield Finding("configuration", "warning", "other users may read the file", f"chmod 600 {file}")
    secret = profile.settings.get("client_secret")
    if callable(secret):
        secret()
        yield Finding("secret", "ok", "client_secret is in the keyring")
    by_browser = profile.settings.get("redirect_uri") is not None and provider.authorization_endpoint is not None
    if not by_browser and provider.device_authorization_endpoint is None and "authorization_code" in provider.grants:
        missing = "redirect_uri" if provider.authorization_endpoint is not None else "authorization_endpoint"
        yield Finding("configuration", "warning", f"users cannot sign in without {missing}", f"set {missing} there")


def check_dns(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the hosts of the endpoints have addresses."""
    if setup.network.proxy is not None:
        yield Finding("dns", "ok", "the proxy resolves the names")
        return
    for origin in setup.origins:
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
    for origin in setup.origins if setup.network.proxy is None else ():
        if origin.scheme != "https":
            yield Finding("tls", "ok", f"{origin} is this machine, which needs no TLS")
            continue
        yield _handshake(origin, setup.network.tls or ssl.create_default_context())
    cert = setup.profile.settings.get("cert")
    if cert is not None:
        yield _own_certificate(Path(cert))


def _handshake(origin: Origin, context: ssl.SSLContext) -> Finding:
    try:
        with (
            socket.create_connection((origin.host, origin.port), _TIMEOUT) as plain,
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
        from cryptography import x509
    except ImportError:
        remedy = "pip install cryptography, to see its dates"
        return Finding("certificate", "warning", f"{path}: its dates were not read", remedy)
    try:
        loaded = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return Finding("certificate", "failed", f"{path} cannot be read ({type(error).__name__})", "give a PEM file")
    return _certificate_finding(str(path), loaded.not_valid_after_utc.timestamp(), "renew it and register the new one")


def _certificate_finding(what: str, expires_at: float, remedy: str) -> Finding:
    left = expires_at - time.time()
    if left <= 0:
        return Finding("certificate", "failed", f"{what} has expired", remedy)
    verdict: FindingVerdict = "ok" if left > _CERTIFICATE_WARNING else "warning"
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
    different = [name for name in _COMPARED if _differ(getattr(provider, name), getattr(described, name))]
    for name in different:
        yield Finding(
            "discovery",
            "warning",
            f"{name} is {getattr(provider, name)}, but the server names {getattr(described, name)}",
            "check the profile, or use provider = 'discover'",
        )
    if not different:
        yield Finding("discovery", "ok", f"the metadata of {provider.issuer} agrees")


def _differ(ours: str | None, theirs: str | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


def check_credentials(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the server accepts the client's credentials.

    Asked by a refresh with a made-up refresh token: the server must authenticate the client first (RFC 6749 section 6),
    and then refuses the token. That issues and revokes nothing.
    """
    provider = setup.provider
    if "refresh_token" not in provider.grants or provider.target is not None:
        # Behind a platform such as bLink every call reaches a bank, on behalf of a user.
        yield Finding("credentials", "ok", f"not checked: {provider.display_name} has no request for it without effect")
        return
    client = OAuthClient(provider, **setup.profile.client_settings(), store=MemoryStore(), policy=_PATIENCE)
    source = client.for_subject("doctor")
    source.adopt(Token(secrets.token_urlsafe(24), refresh_token=secrets.token_urlsafe(24)))
    try:
        source.renew()
    except SignInRequired:
        yield Finding("credentials", "ok", "the token endpoint accepts the client")
    except ConfigurationError as error:
        yield _credentials_finding(error)
    except ProtocolError as error:
        yield Finding("credentials", "warning", f"not checked: {error.problem}", remedy_of(error) or "")
    else:
        yield Finding("credentials", "warning", "not checked: the token endpoint accepts any refresh token", _ASK)


def _credentials_finding(error: ConfigurationError) -> Finding:
    if error.error in _REFUSES_CLIENT or error.status_code in (None, 401, 403):
        return Finding("credentials", "failed", error.problem, remedy_of(error) or "")
    return Finding("credentials", "warning", f"not checked: {error.problem}", remedy_of(error) or "")


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
    with tokens.lock(key, timeout=_TIMEOUT):
        try:
            version = tokens.save(key, {"doctor": 1}, expected=None)
            tokens.save(key, {"doctor": 2}, expected=version)
            tokens.load(key)
            for _ in tokens.keys(key):
                break
        finally:
            tokens.delete(key)


CHECKS: tuple[tuple[str, Callable[[CheckedSetup], Iterator[Finding]]], ...] = (
    ("configuration", check_configuration),
    ("dns", check_dns),
    ("tls", check_tls),
    ("clock", check_clock),
    ("discovery", check_discovery),
    ("credentials", check_credentials),
    ("store", check_store),
)


def run_checks(setup: CheckedSetup) -> Iterator[Finding]:
    """The findings of all checks, one after the other; an error of a check is its finding."""
    for name, check in CHECKS:
        try:
            yield from check(setup)
        except BlnkAuthError as error:
            yield finding_of(name, error)
