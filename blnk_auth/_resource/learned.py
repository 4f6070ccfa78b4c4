"""What was learned of a protected resource, as a value.

Made by `learning.py`; used by all that registers a client, signs a user in, or renews. What this file promises:

* It never changes, so it may be shared between threads and tasks.
* `from_data` reads the result of `to_data` only if it is complete and would be accepted from a server: somebody may
  have changed the store. It never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .._protocol.issuer_metadata import ServerFacts
from .._protocol.origins import endpoint_origin
from .._protocol.resource_metadata import is_prefix
from .._protocol.setting_checks import check_endpoint
from .._transport.addresses import Reach
from ..errors import ConfigurationError, is_number, is_text
from ..provider import Provider

_OFFLINE_ACCESS = "offline_access"
_LONGEST_LIST = 300
"""Characters of a server's list that an error shows."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of a resource and its authorization server.

    Attributes:
        url: The URL that the user named.
        resource: The resource's own name for itself, sent as `resource` (RFC 8707).
        issuer: The authorization server, as its own document spells it.
        settings: The settings of a `Provider`, checked: `Provider(**settings)` does not raise.
        scopes_supported: The scopes that the resource lists.
        challenge_scope: The scope that the latest challenge asked for. None: no challenge was seen, or it named none.
        server: What else is known of the server: `registration_endpoint`, `client_id_metadata_document_supported`,
            `scopes_supported`, `token_endpoint_auth_methods_supported`, `grant_types_supported`.
        learned_at: When the documents were read, in UTC epoch seconds.
        document: The URL of the resource's metadata document. None: it has none, so its origin is the issuer
            (specification of 2025-03-26).
        reach: From where the resource can be reached; see `AddressRule`.
        was_challenged: Whether a challenge was seen, so that it is known whether it names a scope.
    """

    url: str
    resource: str
    issuer: str
    settings: Mapping[str, Any]
    scopes_supported: tuple[str, ...]
    challenge_scope: str | None
    server: ServerFacts
    learned_at: float
    document: str | None = None
    reach: Reach = "public"
    was_challenged: bool = False

    def wanted_scope(self, explicit: str | None, before: Iterable[str] = ()) -> str | None:
        """The scope to ask for.

        Args:
            explicit: The scope that the user of this library specified. None: the scope of the challenge, else those
                that the resource lists, else none.
            before: Scopes that were asked for earlier, and are not to be lost.

        Returns:
            The scope, with `offline_access` where the server lists it. None: leave the parameter out.
        """
        chosen = explicit or self.challenge_scope
        names = chosen.split() if chosen else list(self.scopes_supported)
        names = list(dict.fromkeys((*before, *names)))
        # Without any other scope the server chooses the scope, which `offline_access` alone would replace.
        if names and _OFFLINE_ACCESS in cast("tuple[str, ...]", self.server["scopes_supported"]):
            names = list(dict.fromkeys((*names, _OFFLINE_ACCESS)))
        return " ".join(names) or None

    def check_offered(self, grant_type: str, made_by: str) -> None:
        """Raise `ConfigurationError` if the server lists its grant types, and this one is not among them.

        Where it lists none, its answer to the request decides. `made_by`: the method that needs the grant, for the
        error.
        """
        listed = cast("tuple[str, ...]", self.server["grant_types_supported"])
        if listed and grant_type not in listed:
            raise ConfigurationError(
                f"{made_by}: the metadata of {self.issuer} lists the grant types {', '.join(listed)[:_LONGEST_LIST]}, "
                f"and {grant_type} is not among them",
                parameter=made_by,
                remedy="use for_subject(), or have the operator of the server offer this grant; if it does, and only "
                "does not list it, describe the server as the Provider of an OAuthClient",
            )

    def provider(self) -> Provider:
        """The provider that it describes."""
        return Provider(**self.settings)

    def to_data(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        return {
            "url": self.url,
            "resource": self.resource,
            "issuer": self.issuer,
            "settings": _to_json(self.settings),
            "scopes_supported": list(self.scopes_supported),
            "challenge_scope": self.challenge_scope,
            "server": _to_json(self.server),
            "learned_at": self.learned_at,
            "document": self.document,
            "reach": self.reach,
            "was_challenged": self.was_challenged,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Learned | None:
        """Read the result of `to_data`. None: it cannot be read, or not be used."""
        made = {name: _from_json(data.get(name)) for name in cls.__slots__}
        try:
            learned = cls(**made)
            return learned if learned._is_usable() else None
        except (ConfigurationError, TypeError, KeyError, AttributeError):
            return None

    def _is_usable(self) -> bool:
        server = self.server
        return (
            all(is_text(each) for each in (self.url, self.resource, self.issuer))
            and is_number(self.learned_at)
            and isinstance(self.was_challenged, bool)
            and self.reach in ("public", "private", "link_local")
            and all(each is None or is_text(each) for each in (self.challenge_scope, self.document))
            and all(_are_strings(each) for each in (self.scopes_supported, *(server[name] for name in _LISTS)))
            and isinstance(server["client_id_metadata_document_supported"], bool)
            and is_prefix(self.resource, self.url)
            and self._describes_its_server(self.provider())
        )

    def _describes_its_server(self, provider: Provider) -> bool:
        registration: Any = self.server["registration_endpoint"]
        check_endpoint(registration, "registration_endpoint")
        origin = str(endpoint_origin(self.url, "url"))
        return provider.issuer == self.issuer and provider.pkce and provider.api_origins == (origin,)


_LISTS = ("scopes_supported", "token_endpoint_auth_methods_supported", "grant_types_supported")


def _are_strings(values: Any) -> bool:
    return isinstance(values, tuple) and all(map(is_text, cast("tuple[object, ...]", values)))


def _to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(cast("tuple[object, ...]", each)) if isinstance(each, tuple) else each
        for name, each in values.items()
    }


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(cast("list[object]", value))
    if isinstance(value, dict):
        return {name: _from_json(each) for name, each in cast("dict[str, Any]", value).items()}
    return value
