"""`Sandbox`: the whole interface that a test or a demo uses.

Used by tests, by the demo and by `blnk-auth sandbox`. It promises that after the `with` block the port is free. It
never does the work itself: the authorization server has the tokens, a personality the endpoints, the journal the
record.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self, cast, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ..._protocol.discovery import forget as forget_metadata
from ...errors._pickling import public
from . import _browser as browser
from ._authorization_server import AuthorizationServer
from ._client_settings import ClientSettings, settings_for
from ._control import Control
from ._device import DeviceGrant
from ._endpoint import Endpoint, EndpointSpec
from ._event_stream import EVENTS_PATH, EventStream
from ._extensions import Extension, checked_extensions
from ._faults import Fault, FaultKind, FaultQueue
from ._http_server import HOST, HTTPServer
from ._issued import Grant, IssuedCredentials, RegisteredClient
from ._journal import Counts, Journal, RecordedRequest
from ._live_pages import Front, LivePages
from ._managed_grants import ManagedGrants
from ._named_faults import NamedFault, named_fault
from ._personalities import Parts, Personality, PersonalityName
from ._recent_grants import RecentGrants
from ._setting_checks import checked_lifetime


@public
class Sandbox:
    """A provider to test against: the authorization server and API of Blnk Cloud, bLink, Flinks or MCP on `127.0.0.1`.

        with Sandbox(lifetime=60) as sandbox:
            client = OAuthClient(BlnkCloud(base_url=sandbox.origin), client_id=sandbox.client_id,
                                 client_secret=sandbox.client_secret, redirect_uri=sandbox.redirect_uri)
            start = client.start_authorization("alice")
            client.finish_authorization(sandbox.sign_in(start.url, subject="alice"))
            ...
            assert sandbox.counts.refreshes == 1

    It responds from a daemon thread once the `with` block is entered. When the block ends, every connection is closed,
    also one with a request under way. All methods may be called from any thread. Only `sign_in` and
    `wait_for_token_requests` block, so call these two on a worker thread where an event loop runs. A `Sandbox` can be
    entered once.

    Args:
        personality: The provider that it plays: "blnk_cloud", "blink", "flinks", or "mcp": an API that describes its
            own sign-in (RFC 9728). The modules `_blnk_cloud`, `_blink`, `_flinks` and `_mcp` describe them.
        lifetime: The lifetime of access tokens, in seconds.
        clock: The time by which tokens expire, in UTC epoch seconds: `time.time`, or a `Clock` to move.
        port: The port on 127.0.0.1; 0 means any free one.
        client_id: The id of the registered client. There is one client; "mcp" also takes others.
        client_secret: Its secret. Empty: a public client, which authenticates by its id alone.
        redirect_uri: Its redirect URI, or several. One on loopback without a port matches every port (RFC 8252 section
            7.3).
        tls: A server's `ssl.SSLContext`, for https. bLink's personality then requires a client certificate whose
            common name is the `client_id`; the context needs `verify_mode = ssl.CERT_OPTIONAL` and the authority of
            the client certificates. None: http.
        device_grant: Whether "blnk_cloud" also has two grants that Blnk Cloud itself does not have: device codes and
            client credentials.
        extensions: What it can do beyond its provider, by the names that `Extension` lists, such as "par" or "dpop".
            Its metadata lists them. Empty, the default: nothing.

    Attributes:
        clock: The time by which tokens expire, as it was passed.
        personality: The provider that it plays, with the switches of that provider.
        token_latency: Seconds between the effect of a token request (the rotation) and its response; other requests do
            not wait. At first 0.

    Raises:
        ValueError: An argument is wrong; the error names it.
        OSError: The port cannot be used. Raised when it is entered.
    """

    def __init__(
        self,
        personality: PersonalityName = "blnk_cloud",
        *,
        lifetime: float = 3600.0,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",
        redirect_uri: str | Sequence[str] = "http://127.0.0.1:8765/oauth/callback",
        tls: ssl.SSLContext | None = None,
        device_grant: bool = False,
        extensions: Collection[Extension] = (),
    ) -> None:
        self.clock = clock
        self.token_latency: float = 0.0
        self._grants, self._managed_grants = RecentGrants(clock), ManagedGrants()
        self._issued = IssuedCredentials()
        self._authorization_server = AuthorizationServer(
            clock=clock,
            lifetime=checked_lifetime(lifetime, "lifetime"),
            on_grant=self._add_grant,
            on_issue=self._issued.add,
        )
        self._journal = Journal()
        self._faults: dict[FaultKind, FaultQueue] = {kind: FaultQueue() for kind in get_args(FaultKind)}
        self._port = port
        self._tls = tls
        self._http: HTTPServer | None = None
        self._device_grant: DeviceGrant | None = None
        if device_grant:
            self._device_grant = DeviceGrant(
                self._authorization_server,
                clock=clock,
                origin=lambda: self.origin,
                count=self._journal.count,
                on_issue=self._issued.add,
            )
        self._name = personality
        self._extensions = checked_extensions(extensions, personality, has_tls=tls is not None)
        self.personality: Personality = Parts(
            server=self._authorization_server,
            origin=lambda: self.origin,
            count=self._journal.count,
            clock=clock,
            device_grant=self._device_grant,
            extensions=self._extensions,
            grants=self._managed_grants,
            has_tls=tls is not None,
            is_public=not client_secret,
            on_issue=self._issued.add,
        ).make(personality)
        first, *further = (redirect_uri,) if isinstance(redirect_uri, str) else redirect_uri
        scope = self.personality.default_scope
        self._client = RegisteredClient(client_id, client_secret, first, scope, tuple(further))
        self._authorization_server.clients.add(self._client)

    def _add_grant(self, grant: Grant) -> None:
        self._grants.add(grant)
        self._managed_grants.add(grant)

    def __enter__(self) -> Self:
        if self._http is not None:
            raise RuntimeError("this Sandbox was entered before; make a new one")
        self._http = HTTPServer(self._port, self._tls)
        self._http.start(self._application(self._http))
        # An earlier sandbox of this process may have had the port, with other metadata.
        forget_metadata(self.origin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._http.stop()

    def __repr__(self) -> str:
        return f"<Sandbox {self.origin if self._http else 'not started'}>"

    # --- its address, and the client that is registered ------------------------------------------------------------

    @property
    def origin(self) -> str:
        """Scheme, host and port, such as `http://127.0.0.1:49152`: the base URL and the issuer."""
        if self._http is None:
            raise RuntimeError("the Sandbox has no address until it runs; use it as `with Sandbox() as sandbox:`")
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self._http.port}"

    @property
    def client_id(self) -> str:
        """The id of the registered client."""
        return self._client.client_id

    @property
    def client_secret(self) -> str:
        """The secret of the registered client."""
        return self._client.client_secret

    @property
    def redirect_uri(self) -> str:
        """The first redirect URI of the registered client. Nothing listens there; `sign_in` does not follow it."""
        return self._client.redirect_uri

    # --- users and their grants -----------------------------------------------------------------------------------

    def issue(self, subject: str = "alice", scope: str | None = None, lifetime: float | None = None) -> dict[str, Any]:
        """Issue a new grant, as if `subject` had just signed in.

        Args:
            subject: Who signs in.
            scope: The scope, space-separated. None: what the registered client gets by default.
            lifetime: The lifetime of this access token, in seconds. None: the sandbox's.

        Returns:
            The members of the token response: `TokenSource.adopt(Token.from_response(response, now=...))` takes them.

        Raises:
            ValueError: `lifetime` is negative, or not a finite number.
        """
        checked = None if lifetime is None else checked_lifetime(lifetime, "lifetime")
        return self.personality.issue(
            self._client, subject=subject, scope=scope or self._client.scope, lifetime=checked
        )

    def sign_in(self, authorization_url: str, *, subject: str = "alice", approve: bool = True) -> str:
        """Act as the user over real HTTP: open the page, sign in, approve or deny.

        Args:
            authorization_url: The URL that the client sends the user to.
            subject: The name that the user signs in with.
            approve: True if the user approves, False if the user denies.

        Returns:
            The callback URL to which the browser would be redirected. It is not followed.

        Raises:
            ValueError: The URL is not this sandbox's, or the sandbox refuses it with an error page.
        """
        if not authorization_url.startswith(f"{self.origin}/"):
            raise ValueError(f"authorization_url must begin with {self.origin}/, where this sandbox is")
        return browser.sign_in(authorization_url, subject=subject, approve=approve)

    def enter_user_code(self, user_code: str, *, subject: str = "alice", approve: bool = True) -> None:
        """Act as the user with another device: enter the code that the client shows, approve or deny.

        Args:
            user_code: The code that the client shows.
            subject: The name that the user signs in with.
            approve: True if the user approves, False if the user denies.

        Raises:
            ValueError: No device shows this code now, or the sandbox was made without `device_grant=True`.
        """
        if self._device_grant is None:
            raise ValueError("device_grant is off; make it as Sandbox(device_grant=True)")
        self._device_grant.decide(user_code, subject=subject, approve=approve)

    def revoke_access_tokens(self, subject: str | None = None) -> None:
        """Make the API reject all access tokens that were issued until now. Refresh tokens stay valid.

        Args:
            subject: The user whose access tokens are rejected. None: those of all users and of the client itself.
        """
        self._authorization_server.revoke_access_tokens(subject)

    def revoke_grant(self, subject: str) -> None:
        """End every grant of one user: access tokens are rejected, and refresh tokens get `invalid_grant`.

        Args:
            subject: The user whose grants end.
        """
        self._authorization_server.revoke_grant(subject)

    # --- how it behaves -------------------------------------------------------------------------------------------

    @property
    def lifetime(self) -> float:
        """Seconds that access tokens issued from now on are valid; assign to change it."""
        return self._authorization_server.lifetime

    @lifetime.setter
    def lifetime(self, seconds: float) -> None:
        self._authorization_server.lifetime = checked_lifetime(seconds, "lifetime")

    @property
    def rotates(self) -> bool:
        """Whether a refresh replaces the refresh token; assign to change it. At first False for Flinks only."""
        return self._authorization_server.rotates

    @rotates.setter
    def rotates(self, rotates: bool) -> None:
        self._authorization_server.rotates = rotates

    def fail(self, *faults: Fault | str, at: FaultKind | None = None) -> None:
        """Let the next requests fail; after the last fault, requests succeed again.

            sandbox.fail("invalid_grant")                        # the next token request
            sandbox.fail("EXPIRED_TOKEN", "EXPIRED_TOKEN")       # the next two API requests, with bLink
            sandbox.fail(Fault(status=503), at="revocation")

        Args:
            *faults: One for each of the next requests, in this order, after those that are queued already: a `Fault`,
                or the name of one. There is a name for each error that the provider documents, and for what a network
                does. A wrong name gets an error that lists them.
            at: Which requests: those to the token endpoint, to the API, or revocations. None: those at which the
                provider documents the named fault; token requests for a `Fault`.

        Raises:
            ValueError: There is no fault of that name, or 10,000 are queued already.
        """
        found = [(each, named_fault(self._name, each)) if isinstance(each, str) else ("", each) for each in faults]
        for name, fault in found:
            kind, plain = fault.for_requests(at) if isinstance(fault, NamedFault) else (at or "token", fault)
            self._faults[kind].add(name or _named_after(plain), plain)

    # --- what happened --------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """A snapshot of the figures since the start or the last `clear_record()`."""
        return self._journal.counts

    def clear_record(self) -> None:
        """Set all figures to 0, and delete the recorded requests."""
        self._journal.clear()

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The requests since the start or the last `clear_record()`, oldest first: the latest 10,000 at most."""
        return self._journal.requests

    @property
    def secrets(self) -> tuple[tuple[str, str], ...]:
        """The client secret and the latest 100,000 codes and tokens that it has issued, each after its kind.

        `assert_no_secret_in` searches for them. A kind is a word such as "refresh token".
        """
        return (("client secret", self.client_secret), *self._issued.all())

    def wait_for_token_requests(self, n: int, timeout: float = 5.0) -> None:
        """Wait until token requests have arrived, with or without a response. It blocks.

        Args:
            n: How many, since the start or the last `clear_record()`.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: Fewer arrived in that time.
        """
        if not self._journal.wait_until(lambda counts: counts.token_requests >= n, timeout):
            arrived = self.counts.token_requests
            raise TimeoutError(f"{arrived} of {n} token requests arrived within {timeout} seconds")

    def _application(self, http: HTTPServer) -> Starlette:
        server, journal = self._authorization_server, self._journal
        control = Control(server, journal, self._faults, self._grants, personality=self._name, issue=self.issue)
        pages = LivePages(
            self._name, self.personality.display_name, origin=lambda: self.origin, settings=self._client_settings
        )
        specs = [*pages.endpoints(), *control.endpoints(), *self.personality.endpoints()]
        routes = [Route(spec.path, self._endpoint(spec, http)) for spec in specs]
        events = Route(EVENTS_PATH, EventStream(server, journal, self._faults, self._grants, self.clock))
        front = Route("/", Front(routes[-1].endpoint))
        return Starlette(routes=[front, events, *routes], exception_handlers={Exception: _respond_with_error})

    def _client_settings(self) -> ClientSettings:
        is_tls = self._tls is not None
        return settings_for(
            "device" if self._device_grant is not None else self._name,
            origin=self.origin,
            client_id=self.client_id,
            client_secret=self.client_secret,
            redirect_uri=self.redirect_uri,
            authority_file="ca.pem" if is_tls else None,
            certificate_file="client.pem" if is_tls else None,
            extensions=self._extensions,
        )

    def _endpoint(self, spec: EndpointSpec, http: HTTPServer) -> Endpoint:
        return Endpoint(
            spec,
            journal=self._journal,
            faults=self._faults.get(cast("FaultKind", spec.kind)) or FaultQueue(),
            latency=lambda: self.token_latency if spec.kind == "token" else 0.0,
            cut=http.cut,
            certificate_of=http.certificate_of,
            # A client of DPoP corrects its clock by this header.
            clock=self.clock if "dpop" in self._extensions else None,
        )


def _named_after(fault: Fault) -> str:
    """What a fault without a name is called where it is shown."""
    return "a fault" if fault.status is None else f"status {fault.status}"


async def _respond_with_error(request: Request, error: Exception) -> PlainTextResponse:
    """The likely cause is a test's own `Fault.rewrite`; the server's log is off, so the response shows it."""
    return PlainTextResponse(f"{request.url.path}: {error!r}", 500)
