"""What `blnk-auth doctor` finds, and what it looks at.

Used by the checks and by the command. It promises that a finding of an error has the remedy of the command line. It
never checks anything itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .._protocol.origins import Origin, endpoint_origin
from .._transport.network import Network, stays_on_this_machine
from ..client import OAuthClient
from ..config import Profile
from ..config._document import is_open_to_others
from ..errors import BlnkAuthError, TemporarilyUnavailable
from ..policy import RenewalPolicy
from ..provider import Provider
from .exit_status import CONFIGURATION, OK, UNAVAILABLE
from .remedies import remedy_of

FindingVerdict = Literal["ok", "warning", "failed", "unavailable"]

TIMEOUT = 10.0
"""Seconds for one connection, one exchange, one lock."""

PATIENCE = RenewalPolicy(request_deadline=TIMEOUT)

ENDPOINTS = (
    *("token_endpoint", "authorization_endpoint", "revocation_endpoint"),
    "pushed_authorization_request_endpoint",
)


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
        return cls(profile, client, Network(PATIENCE, **profile.network_settings()), exposed)

    @property
    def provider(self) -> Provider:
        """The provider of the client."""
        return self.client.provider

    @property
    def origins(self) -> list[Origin]:
        """The origins of the authorization server's endpoints."""
        endpoints = ((name, getattr(self.provider, name)) for name in ENDPOINTS)
        return list(dict.fromkeys(endpoint_origin(url, name) for name, url in endpoints if url is not None))

    def proxy_for(self, origin: Origin) -> tuple[str, str] | None:
        """The proxy for requests to an origin, and what names it; None: there is none."""
        if stays_on_this_machine(str(origin)):
            return None if self.network.proxy is None else (self.network.proxy, "proxy of the profile")
        if self.network.proxy is not None:
            return self.network.proxy, "proxy of the profile"
        from requests.utils import get_environ_proxies, select_proxy

        proxy = select_proxy(str(origin), get_environ_proxies(str(origin)))
        return None if proxy is None else (proxy, f"the environment, such as {origin.scheme.upper()}_PROXY")
