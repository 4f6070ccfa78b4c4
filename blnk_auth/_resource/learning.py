"""Learns from a resource how to sign in: its metadata (RFC 9728), and that of its authorization server.

Used by the client of a protected resource, on a worker thread. What this file promises:

* The well-known URLs of the resource are read first, else the challenge of a GET request names the document. The scope
  that is needed is learned from such a challenge too. No other method is sent: it might not be safe. Where GET is not
  challenged, the caller passes the challenge of the user's own request (`resource_token`).
* A document that the challenge of the user's request names has precedence over them (MCP specification of 2026-07-28).
* A server is used only if the resource named it: one of five at most, in their order. The one that was used before has
  precedence, so that a changed order ends no sign-in. A resource without metadata is its own server (specification of
  2025-03-26).
* What was learned is used for an hour. Later it is used only while the documents cannot be read.

It never sends a token, and never asks a user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from .._protocol.documents import read_json_object
from .._protocol.http_messages import HttpResponse
from .._protocol.issuer_metadata import (
    CONNECTED_TO,
    default_document,
    issuer_metadata_urls,
    judge_issuer,
    names_issuer,
)
from .._protocol.origins import endpoint_origin
from .._protocol.resource_metadata import (
    REPORT,
    ResourceChallenge,
    ResourceDocument,
    check_resource_url,
    describes_resource,
    judge_resource,
    resource_challenge,
    well_known_urls,
)
from .._transport.addresses import AddressRule
from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, TemporarilyUnavailable
from ..provider import Provider
from ..stores._token_store import TokenStore
from .known import KnownResources
from .learned import Learned

_known = KnownResources()


class Fetch(Protocol):
    """What `MetadataFetch` is."""

    addresses: AddressRule

    def __call__(self, url: str) -> HttpResponse: ...

    def probe(self, url: str) -> HttpResponse: ...


def learn(
    url: str,
    *,
    fetch: Fetch,
    store: TokenStore,
    now: float,
    challenge: ResourceChallenge | None = None,
    again: bool = False,
) -> Learned | None:
    """What is known of the resource at `url`. Its servers are asked if nothing is, or it is older than an hour. Blocks.

    Args:
        url: The URL that the user named.
        fetch: Fetches documents; made for this call.
        store: Where what was learned is kept.
        now: The time, in UTC epoch seconds.
        challenge: The challenge of a rejection of the user's request. If it names another document, that is read.
        again: Ask in any case: the resource does not accept the tokens that it leads to.

    Returns:
        What was learned. None: the URL is not a protected resource.

    Raises:
        ConfigurationError: `url` cannot be that of a resource, a document describes another resource or another issuer,
            or an address is refused.
        ProtocolError: A document cannot be used; the error names its URL and the member.
        TemporarilyUnavailable: A server did not answer, and nothing was learned earlier.
        StoreError: The store cannot be read.
    """
    check_resource_url(url)
    known = _known.load(url, store, now)
    before = None if known is None else known.learned
    if known is not None and known.is_fresh and not again and _covers(before, challenge):
        return _with_scope(before, challenge, store)
    try:
        learned = _Learning(url, fetch, now, before).learn(challenge)
    except TemporarilyUnavailable:
        if before is None or again:
            raise
        # Its endpoints may work although its documents cannot be read now.
        return before
    if learned is None and before is not None:
        # A document that is missing while a server is replaced must not end the sign-ins of all users.
        return before
    _known.save(url, store, now, learned)
    return learned


def _challenge_in(response: HttpResponse) -> ResourceChallenge | None:
    return resource_challenge(response.headers) if response.status_code == 401 else None


def _covers(learned: Learned | None, challenge: ResourceChallenge | None) -> bool:
    """Whether the challenge names no document that was not read when this was learned."""
    if challenge is None:
        return True
    return learned is not None and challenge.resource_metadata in (None, learned.document)


def _with_scope(learned: Learned | None, challenge: ResourceChallenge | None, store: TokenStore) -> Learned | None:
    if learned is None or challenge is None:
        return learned
    changed = replace(learned, challenge_scope=challenge.scope or learned.challenge_scope, was_challenged=True)
    if changed == learned:
        return learned
    _known.save(learned.url, store, learned.learned_at, changed)
    return changed


class _ServerDocument(NamedTuple):
    """The metadata document of an authorization server.

    Attributes:
        at: The document's own URL.
        issuer: The issuer as the resource names it.
        members: What is in the document.
    """

    at: str
    issuer: str
    members: Mapping[str, Any]


class _Tried:
    """Where no usable document was found, and why."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.are_missing: bool = True
        """Whether each URL was answered with 404."""
        self.contradiction: BlnkAuthError | None = None
        """The refusal of a document that was found."""
        self._is_unavailable: bool = False

    def add(self, problem: str, status: int | None = None) -> None:
        self.problems.append(problem)
        self.are_missing = self.are_missing and status == 404
        self._is_unavailable = self._is_unavailable or (status is not None and (status >= 500 or status == 429))

    def failure(self, problem: str, parameter: str) -> BlnkAuthError:
        """The error for all of them."""
        if self.contradiction is not None:
            return self.contradiction
        problem = f"{problem} ({'; '.join(self.problems)})"
        if self._is_unavailable:
            return TemporarilyUnavailable(problem, parameter=parameter, remedy="try again later")
        return ProtocolError(problem, parameter=parameter, remedy=REPORT)


class _Learning:
    """One act of learning."""

    def __init__(self, url: str, fetch: Fetch, now: float, before: Learned | None) -> None:
        self._url = url
        self._origin = str(endpoint_origin(url, "url"))
        self._fetch = fetch
        self._now = now
        self._before = before

    def learn(self, challenge: ResourceChallenge | None) -> Learned | None:
        if challenge is not None and challenge.resource_metadata is not None:
            return self._from_challenge(challenge, challenge.resource_metadata)
        tried = _Tried()
        document = self._from_well_known(tried)
        if document is not None:
            return self._from_document(document, challenge or self._scope_of_probe())
        if challenge is None:
            challenge = self._probe()
        if challenge is None:
            return None
        if challenge.resource_metadata is not None:
            return self._from_challenge(challenge, challenge.resource_metadata)
        return self._from_origin(challenge, tried)

    def _from_challenge(self, challenge: ResourceChallenge, at: str) -> Learned:
        if self._origin_of(at) != self._origin:
            # From where the resource can be reached decides which addresses others may have.
            self._scope_of_probe()
        tried = _Tried()
        document = self._read(at, tried)
        if document is None:
            raise tried.failure(f"{self._url} names a metadata document that cannot be used", "resource_metadata")
        return self._from_document(judge_resource(document, at=at, url=self._url), challenge)

    def _origin_of(self, at: str) -> str:
        try:
            return str(endpoint_origin(at, "resource_metadata"))
        except ConfigurationError as failure:
            problem = f"{self._url}: its challenge cannot be used ({failure.problem})"
            raise ProtocolError(problem, parameter="resource_metadata", remedy=REPORT) from None

    def _from_well_known(self, tried: _Tried) -> ResourceDocument | None:
        urls = well_known_urls(self._url)
        for at in urls:
            document = self._read(at, tried)
            if document is None:
                continue
            if not describes_resource(document):
                # Some APIs answer every path with 200 and an error.
                tried.add(f"{at} has neither resource nor authorization_servers")
                continue
            try:
                return judge_resource(document, at=at, url=self._url)
            except ConfigurationError as failure:
                if at == urls[0]:
                    raise
                # The document of the origin may describe another resource of the same host.
                tried.contradiction = failure
        return None

    def _probe(self) -> ResourceChallenge | None:
        """The challenge of a GET request; None: it is not rejected, or asks for no OAuth token."""
        return _challenge_in(self._fetch.probe(self._url))

    def _scope_of_probe(self) -> ResourceChallenge | None:
        # The document is enough to go on without it.
        with suppress(TemporarilyUnavailable, ProtocolError):
            return self._probe()
        return None

    def _from_origin(self, challenge: ResourceChallenge, tried: _Tried) -> Learned:
        """Of a resource without metadata, as in the specification of 2025-03-26: its origin is the issuer."""
        if tried.contradiction is not None:
            raise tried.contradiction
        found = self._read_issuer(self._origin, tried)
        if found is None and tried.are_missing and tried.contradiction is None:
            found = _ServerDocument(self._url, self._origin, default_document(self._origin))
        if found is None:
            raise tried.failure(f"{self._url} publishes no metadata", "url")
        return self._judged(found, ResourceDocument(None, self._url, (), ()), challenge)

    def _from_document(self, document: ResourceDocument, challenge: ResourceChallenge | None) -> Learned:
        failures: list[BlnkAuthError] = []
        for issuer in self._in_order(document.authorization_servers):
            tried = _Tried()
            try:
                found = self._read_issuer(issuer, tried)
                if found is not None:
                    return self._judged(found, document, challenge)
                problem = (
                    f"{document.at}: the member authorization_servers names {issuer!r}, which publishes no metadata"
                )
                failures.append(tried.failure(problem, "authorization_servers"))
            except (ConfigurationError, ProtocolError) as failure:
                failures.append(failure)
        if len(failures) == 1:
            raise failures[0]
        first = next((each for each in failures if isinstance(each, TemporarilyUnavailable)), failures[0])
        raise first.replace(problem="; ".join(each.problem for each in failures))

    def _in_order(self, issuers: tuple[str, ...]) -> Iterator[str]:
        """The issuers in the order of the document, but first the one that was used before."""
        before = "" if self._before is None else self._before.issuer.rstrip("/")
        yield from sorted(issuers, key=lambda issuer: issuer.rstrip("/") != before)

    def _read_issuer(self, issuer: str, tried: _Tried) -> _ServerDocument | None:
        for at in issuer_metadata_urls(issuer):
            document = self._read(at, tried)
            if document is None:
                continue
            if names_issuer(document, issuer):
                return _ServerDocument(at, issuer, document)
            try:
                judge_issuer(document, at=at, issuer=issuer, api_origin=self._origin)
            except ConfigurationError as failure:
                tried.contradiction = tried.contradiction or failure
        return None

    def _judged(
        self, server: _ServerDocument, document: ResourceDocument, challenge: ResourceChallenge | None
    ) -> Learned:
        settings, facts = judge_issuer(server.members, at=server.at, issuer=server.issuer, api_origin=self._origin)
        try:
            provider = Provider(**settings)
        except ConfigurationError as failure:
            problem = f"{server.at}: {failure.problem}"
            raise ProtocolError(problem, parameter=failure.parameter, remedy=REPORT) from None
        self._check_addresses(server)
        return Learned(
            url=self._url,
            resource=document.resource,
            issuer=provider.issuer or server.issuer,
            settings=settings,
            scopes_supported=document.scopes_supported,
            challenge_scope=None if challenge is None else challenge.scope,
            server=facts,
            learned_at=self._now,
            document=document.at,
            reach=self._fetch.addresses.reach,
            was_challenged=challenge is not None,
        )

    def _check_addresses(self, server: _ServerDocument) -> None:
        """Judge the addresses in URLs of endpoints before a user signs in. A name is judged when it is connected to."""
        for name in CONNECTED_TO:
            url = server.members.get(name)
            try:
                if url:
                    self._fetch.addresses.check_for(url)
            except ConfigurationError as failure:
                problem = f"{server.at}: the member {name} cannot be used ({failure.problem})"
                raise failure.replace(problem=problem, parameter=name) from None

    def _read(self, at: str, tried: _Tried) -> Mapping[str, Any] | None:
        """The JSON object at a URL; None where there is none, which `tried` then has."""
        try:
            response = self._fetch(at)
        except ProtocolError as failure:
            tried.add(failure.problem)
            return None
        document = read_json_object(response.body) if response.status_code == 200 else None
        if document is None:
            tried.add(f"{at} answered {response.status_code} without a JSON object", response.status_code)
        return document
