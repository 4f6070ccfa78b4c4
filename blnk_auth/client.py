"""`OAuthClient`: a registered client of one provider, and where its tokens and sign-ins come from.

Used by every application. It checks its arguments and calls others: `_sign_in` for sign-ins, `TokenSource` for tokens.
It never reads a store or sends a request itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from ._protocol.client_authentication import ClientAuthMethod, ClientSecret
from ._protocol.signing import PrivateKey, SigningAlgorithm
from ._renewal.authorization_grants import ClientCredentialsGrant
from ._renewal.client_grants import delete_ended, subjects
from ._renewal.client_settings import checked_state
from ._renewal.client_state import ClientState
from ._renewal.pickled_client import grant_of, settings_of, shared_state
from ._sign_in.client_sign_ins import ClientSignIns
from ._sign_in.wanted_grant import WantedGrant
from .errors import ConfigurationError, clears_locals, is_number, is_text, quoted, redacted
from .events import OnEvent
from .policy import RenewalPolicy
from .provider import Provider
from .source import TokenSource, source_of
from .stores._async_adapter import AsyncTokenStore
from .stores._token_store import TokenStore

if TYPE_CHECKING:
    import blnk_auth

    # Imported by the programs that keep grants alive, when they do.
    from ._renewal.keepalive import KeepaliveRun
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__package__]

__all__ = ["OAuthClient", "SigningAlgorithm"]


@clears_locals
class OAuthClient(ClientSignIns):
    """A client that is registered at one provider. Make one for each registration and keep it.

    May be used from any number of threads, event loops and tasks. Copying it gives the same client.

    It is the client of RFC 6749 section 2, and authenticates as section 2.3 describes.

    Args:
        provider: The authorization server, and the API that its tokens are for.
        client_id: The id that the provider gave the client.
        client_secret: The secret that the provider gave the client, or a callable that returns it, which is called for
            each request. None: the client has no secret.
        redirect_uri: Where the provider sends users back to, as registered; needed only to sign in.
        store: Where tokens are stored: a store, with methods that block or are all `async def` (`AsyncTokenStore`), or
            the URL of one (`"sqlite:///tokens.db"`, see `open_store`). None: in the memory of this process, which loses
            them when it exits.
        client_auth: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
            `tls_client_auth`, `self_signed_tls_client_auth` or `none`. None: the provider's, or the best that both
            sides support where the provider lists what it supports.
        private_key: For `private_key_jwt`: a PEM, a JWK as a dict, a callable that returns the current one, or a
            `Signer` for a key that never leaves its hardware.
        key_id: The `kid` of assertions. None: that of the JWK.
        signing_algorithm: The `alg` of assertions. None: that of the JWK, else one that fits the key and the provider's
            `assertion_algorithms`; HS256 for `client_secret_jwt`.
        dpop: True binds the tokens of each grant to a key of their own (DPoP, RFC 9449), which is stored with them. Or
            one key for all grants: a PEM, a JWK, a `Signer` with `public_jwk`, or a callable that returns one of these.
            The callable is called once, because tokens stay bound to their key. None: tokens are not bound.
        policy: When to renew, and how long to wait. None: `RenewalPolicy()`.
        on_event: Called after something happened to a token, see `Event`. None: events are only logged.
        token_http: A `requests.Session`, `httpx.Client` or `httpx2.Client` for the authorization server. None: the
            library makes one, from the HTTP package of the caller.
        cert: A client certificate for the authorization server: a file, or file, key file and optional password.
        verify: For the authorization server: True, a CA file, or an `ssl.SSLContext`.
        proxy: The URL of a proxy for the authorization server. None: as the environment specifies.
        clock: Returns UTC epoch seconds. None: `time.time`.
        step_up: What follows when the API asks for more than a grant gives (RFC 9470, RFC 6750 `insufficient_scope`).
            There is always the event `step_up_required`. `event`: the caller gets the response of the API. `raise`:
            `SignInRequired` with the reason `step_up` in its place.
        consent_ended: The same for a response by which the provider reports that the user's consent has ended.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        client_id: str,
        client_secret: ClientSecret = None,
        redirect_uri: str | None = None,
        store: TokenStore | AsyncTokenStore | str | None = None,
        client_auth: ClientAuthMethod | None = None,
        private_key: PrivateKey | None = None,
        key_id: str | None = None,
        signing_algorithm: SigningAlgorithm | None = None,
        dpop: PrivateKey | Literal[True] | None = None,
        policy: RenewalPolicy | None = None,
        on_event: OnEvent | None = None,
        token_http: Any = None,
        cert: str | tuple[str, ...] | None = None,
        verify: Any = True,
        proxy: str | None = None,
        clock: Callable[[], float] | None = None,
        step_up: Literal["event", "raise"] = "event",
        consent_ended: Literal["event", "raise"] = "event",
    ) -> None:
        client_secret, private_key, cert = redacted(client_secret), redacted(private_key), redacted(cert)
        dpop = redacted(dpop)
        if not isinstance(provider, Provider):
            remedy = "pass BlnkCloud(), Provider(name=..., ...) or Provider.discover(...)"
            problem = f"provider must be a Provider, not {quoted(provider)}"
            raise ConfigurationError(problem, parameter="provider", remedy=remedy)
        self._share(
            checked_state(
                provider,
                client_id=client_id,
                client_secret=client_secret,
                redirect_uri=redirect_uri,
                store=store,
                client_auth=client_auth,
                private_key=private_key,
                key_id=key_id,
                signing_algorithm=signing_algorithm,
                dpop=dpop,
                policy=policy,
                on_event=on_event,
                token_http=token_http,
                cert=cert,
                verify=verify,
                proxy=proxy,
                clock=clock,
                step_up=step_up,
                consent_ended=consent_ended,
            )
        )

    @classmethod
    def from_config(cls, profile: str = "default", path: str | PathLike[str] | None = None) -> OAuthClient:
        """The client that a profile of the configuration file describes, see `docs/reference/command-line.md`.

        Args:
            profile: The name of the profile.
            path: The file. None: that of the environment variable BLNK_AUTH_CONFIG, else of this user's configuration.

        Returns:
            The client, of the class that this is called on.

        Raises:
            ConfigurationError: Something in the file cannot work. The message names the file, the profile and the key.
        """
        from .config import load_profile

        return load_profile(profile, path).make(cls)

    @property
    def provider(self) -> Provider:
        """The provider it is registered at."""
        return self._state.provider

    @property
    def store(self) -> TokenStore:
        """The store of its tokens."""
        return self._state.store

    def __repr__(self) -> str:
        return f"<OAuthClient {self._state.credentials.client_id!r} of {self.provider.name}>"

    # --- whose token ---------------------------------------------------------------------------------------------

    def for_subject(self, subject: str, *, resource: str | None = None) -> TokenSource:
        """The tokens of the grant that a user gave. Reads nothing yet; the same arguments get the same source.

        If the provider's tokens are for one of several targets (bLink's banks), a callable that names the target is
        called here, and the source keeps its result. When the result changes, the next call makes another source, with
        tokens of its own.

        Args:
            subject: The application's own lasting id of the user.
            resource: What the tokens are for (RFC 8707): an absolute URI. Each has a grant of its own, which is asked
                for with the same `resource`. None: the grant that was asked for without.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work.
            TemporarilyUnavailable: That callable failed.
        """
        wanted = WantedGrant.checked(subject, resource=resource)
        return source_of(self._state.current_token(wanted.grant(self.provider.target_of(subject))))

    def for_itself(
        self,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        audience: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> TokenSource:
        """The client's own tokens (client credentials, RFC 6749 section 4.4): one for each combination of arguments.

        Args:
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the token is for (RFC 8707): an absolute URI. None: not specified.
            audience: The same at servers that want an `audience` (Auth0). None: not specified.
            parameters: Further parameters of each token request. No secrets: they are part of the store key.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work, or the provider does not offer this grant.
        """
        grant = ClientCredentialsGrant.checked(self.provider, scope, resource, audience, parameters)
        return source_of(self._state.current_token(grant))

    # --- many grants ---------------------------------------------------------------------------------------------

    def subjects(self, prefix: str = "") -> Iterator[str]:
        """Who has signed in: every subject of whom this client has a grant in its store, also one that has ended.

        Blocks on the store; for asyncio and trio: `asubjects`.

        Args:
            prefix: What their names begin with. Default: an empty string, which lists all.

        Returns:
            The subjects, ascending, each once.

        Raises:
            ConfigurationError: `prefix` is not a string.
            StoreError: The store cannot list its keys.
        """
        return iter(subjects(self._state, _checked_prefix(prefix)))

    async def asubjects(self, prefix: str = "") -> AsyncIterator[str]:
        """The same as `subjects`, for asyncio and trio: `async for subject in client.asubjects()`."""
        operations, prefix = self._state.operations, _checked_prefix(prefix)
        for subject in await operations.await_for(operations.begin(lambda _events: subjects(self._state, prefix))):
            yield subject

    def keepalive(
        self,
        horizon: float = 7 * 86400,
        *,
        idle_lifetime: float | None = None,
        rate: float = 10.0,
        workers: int = 4,
        shard: tuple[int, int] = (0, 1),
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> blnk_auth.KeepaliveReport:
        """Renew every grant whose refresh token would expire because it is not used. Run it once a day.

        Any number of hosts may run it at the same time: each due grant is renewed once. Blocks until all are renewed;
        Ctrl-C ends it after the renewals that are under way. For asyncio and trio: `akeepalive`.

        Args:
            horizon: Seconds. What would expire within this time is renewed; the default is seven days.
            idle_lifetime: Seconds after which an unused refresh token expires. None: the provider's
                `refresh_idle_lifetime`; where that is unknown too, only the expiry that the server reported counts.
            rate: Renewals per second, at most.
            workers: Concurrent renewals, at most; 1 to 64.
            shard: `(i, n)`: only part `i` of `n`, counted from 0. The default takes all grants.
            on_progress: Called about ten times a second with how many grants were read, and of how many; None as the
                total if that is not known. None: nothing is called.

        Returns:
            What was done, and who must sign in again.

        Raises:
            ConfigurationError: An argument cannot work.
            StoreError: The store cannot list its keys. The failures of single grants are in the report.
        """
        return self._keepalive_run(horizon, idle_lifetime, rate, workers, shard).run(on_progress)

    async def akeepalive(
        self,
        horizon: float = 7 * 86400,
        *,
        idle_lifetime: float | None = None,
        rate: float = 10.0,
        workers: int = 4,
        shard: tuple[int, int] = (0, 1),
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> blnk_auth.KeepaliveReport:
        """The same as `keepalive`, for asyncio and trio. `on_progress` is called on another thread.

        Cancelling it ends the run after the renewals that are under way, and does not wait for them.
        """
        run = self._keepalive_run(horizon, idle_lifetime, rate, workers, shard)
        try:
            return await self._state.operations.begin(lambda _events: run.run(on_progress)).wait_async(math.inf)
        finally:
            run.stop()

    def _keepalive_run(
        self, horizon: float, idle_lifetime: float | None, rate: float, workers: int, shard: tuple[int, int]
    ) -> KeepaliveRun:
        from ._renewal.keepalive import KeepaliveRun, KeepaliveSettings

        idle_lifetime = self.provider.refresh_idle_lifetime if idle_lifetime is None else idle_lifetime
        return KeepaliveRun(self._state, KeepaliveSettings.checked(horizon, idle_lifetime, rate, workers, shard))

    def prune(self, ended_before: float) -> int:
        """Delete the records of grants that ended long ago, sign-ins that nobody finished, and old exchanges.

        A grant has ended when the server refused its refresh token, or when nothing can renew it any more. The client's
        own tokens are left, and so is a record that cannot be read. Blocks; for asyncio and trio: `aprune`.

        Args:
            ended_before: UTC epoch seconds. A grant that ended before is deleted, and so is the note of an exchange
                that was made before. Sign-ins are deleted if their time is over.

        Returns:
            How many records were deleted.

        Raises:
            ConfigurationError: `ended_before` is not a number.
            StoreError: The store cannot list its keys.
        """
        return self._prune(_checked_moment(ended_before))

    async def aprune(self, ended_before: float) -> int:
        """The same as `prune`, for asyncio and trio."""
        ended_before = _checked_moment(ended_before)
        return await self._state.operations.begin(lambda _events: self._prune(ended_before)).wait_async(math.inf)

    def _prune(self, ended_before: float) -> int:
        from ._sign_in.one_time_exchange import delete_exchanges
        from ._sign_in.pending_sign_ins import PendingSignIns

        state = self._state
        sign_ins = PendingSignIns(state.store, state.registration).delete_expired(state.clock())
        return delete_ended(state, ended_before) + sign_ins + delete_exchanges(state, ended_before)

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return settings_of(self._state)

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self._share(shared_state(settings, self))

    def _share(self, state: ClientState) -> None:
        """Be a client with this state, which sources of the same client have too."""
        self.redirect_uri: str | None = state.redirect_uri
        self._state = state
        state.shared_by(self, type(self)._with)

    @classmethod
    def _with(cls, state: ClientState) -> OAuthClient:
        (client := cls.__new__(cls))._share(state)
        return client

    def _source_of(self, grant: Mapping[str, Any]) -> TokenSource:
        """The source in a pickle. Named there: keep its name, and what its argument means."""
        return source_of(self._state.current_token(grant_of(grant)))


def _checked_prefix(prefix: str) -> str:
    if not is_text(prefix):
        raise ConfigurationError(
            f"prefix must be a string, not {quoted(prefix)}",
            parameter="prefix",
            remedy='pass what the subjects begin with, or ""',
        )
    return prefix


def _checked_moment(ended_before: float) -> float:
    if not is_number(ended_before):
        raise ConfigurationError(
            f"ended_before must be a number, not {quoted(ended_before)}",
            parameter="ended_before",
            remedy="pass UTC epoch seconds, such as time.time() - 90 * 86400",
        )
    return ended_before
