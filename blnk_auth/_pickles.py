"""Reads pickles of earlier versions: finds classes and modules that were moved, and converts old values.

Used when such a pickle is read, and not imported otherwise. The finder in `blnk_auth/__init__.py` imports it when a
pickle names a module that was moved. `__setstate__` of a class imports it when a pickle has an earlier form of that
class. It promises that every pickle of 0.1.0 can be read. It never changes what is pickled today: new pickles name
public paths only, and do not need this file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .errors import NotPickled

_PACKAGE = __name__.rpartition(".")[0]

_NAMES = {
    "authorization.AuthorizationRequest": "_sign_in.start_authorization.AuthorizationRequest",
    "assertion.Signer": "_protocol.signing.Signer",
    "challenge.is_curable": "provider._by_the_challenge",
    "client_auth.ClientCredentials": "_pickles.Credentials",
    "device.DeviceAuthorization": "_sign_in.device.DeviceAuthorization",
    "engine.Engine": "_pickles.ClientState",
    "engine._key_not_pickled": "_pickles.key_not_pickled",
    "engine._not_pickled": "_pickles.secret_not_pickled",
    "grants.ClientGrant": "_pickles.ClientsGrant",
    "grants.PersonGrant": "_pickles.SubjectsGrant",
    "hidden.Hidden": "errors._tracebacks.Redacted",
    "hidden.HiddenBytes": "errors._tracebacks.RedactedBytes",
    "hidden.HiddenDict": "errors._tracebacks.RedactedDict",
    "origin.AllowedOrigins": "_pickles.Origins",
    "origin.Origin": "_protocol.origins.Origin",
    "providers.blink._Customer": "providers.BLinkCustomer",
    "providers.blink._is_rejection": "providers.is_blink_rejection",
    "providers.blink._judge_refusal": "providers.judge_blink_refusal",
    "providers.blnk_cloud._is_rejection": "providers.is_blnk_cloud_rejection",
    "providers.flinks._is_rejection": "providers.is_flinks_rejection",
    "providers.flinks._judge_refusal": "providers.judge_flinks_refusal",
    "providers.flinks._read_answer": "providers.read_flinks_answer",
    "providers.uk_open_banking._interaction": "providers.uk_open_banking_interaction",
    "shells.httpx.HttpxAuth": "httpx.HttpxAuth",
    "shells.httpx2.Httpx2Auth": "httpx2.Httpx2Auth",
    "shells.requests.RequestsAuth": "requests.RequestsAuth",
    "shells.requests._unpickled_passage": "_pickles.hook",
    "stores.base.Record": "stores.Record",
    "stores.encrypted.EncryptedStore": "stores.EncryptedStore",
    "stores.encrypted._not_pickled": "_pickles.keys_not_pickled",
    "stores.encrypted._reopen": "_pickles.open_encrypted_store",
    "stores.file.FileStore": "stores.FileStore",
    "stores.file._reopen": "_pickles.open_file_store",
    "stores.key_value.KeyValueStore": "stores.KeyValueStore",
    "stores.keyring.KeyringStore": "stores.KeyringStore",
    "stores.keyring._reopen": "_pickles.open_keyring_store",
    "stores.memory.MemoryStore": "stores.MemoryStore",
    "stores.redis._unpickled": "_pickles.open_redis_store",
    "stores.sql._unpickled": "_pickles.open_sql_store",
    "stores.sqlite.SQLiteStore": "stores.SQLiteStore",
    "transport.Network": "_pickles.Network",
}
"""The names in pickles of the first commits of 0.1.0, and what replaces each. Both are relative to this package."""

_FIELDS = {
    "AuthorizationRequest": "url state expires_at",
    "DeviceAuthorization": "user_code verification_uri verification_uri_complete expires_at interval device_code",
    "Event": "name store_key detail error",
    "Provider": (
        "name display_name token_endpoint api_origins authorization_endpoint revocation_endpoint "
        "device_authorization_endpoint issuer sends_iss grants client_auth client_auth_supported basic_encoding "
        "assertion_audience assertion_algorithms token_body token_parameters token_headers api_headers "
        "authorization_parameters pkce requires_scope redirect_uri_on_refresh target read_answer judge_refusal "
        "correlation_header rejection_statuses is_rejection reads_rejection_body revocation revocation_advice "
        "refresh_idle_lifetime"
    ),
    "RenewalPolicy": (
        "advisory_leeway advisory_fraction mandatory_leeway mandatory_fraction jitter default_lifetime connect_timeout "
        "read_timeout request_deadline lock_timeout max_answer_bytes cooldown max_cooldown max_retry_after "
        "rejection_cooldown max_rejection_cooldown refresh_warning"
    ),
    "Signer": "sign algorithm key_id",
    "BLinkCustomer": "target_id user_agent username psu_ip_address psu_user_agent consent",
}
"""The classes that such a pickle stores as a list of values, with the name of the field of each value."""


def fields_of(name: str, values: list[Any]) -> dict[str, Any]:
    """The fields of an object of the class `name`, by name, from the list of values in its pickle."""
    fields = dict(zip(_FIELDS[name].split(), values, strict=False))
    if name == "Provider":
        advice = fields["revocation_advice"]
        fields["revocation_advice"] = _ADVICE.get(advice, advice)
        # A rule that was added later, beside one that such a pickle has.
        from .providers import ends_flinks_consent, is_flinks_rejection

        if fields["is_rejection"] is is_flinks_rejection:
            fields["ends_consent"] = ends_flinks_consent
    return fields


_ADVICE = {
    "this provider has no revocation endpoint; call forget() to drop the token here": "",
    "Blnk Cloud has no revocation endpoint; revoke the OAuth client in the Blnk Cloud dashboard (this ends every "
    "integration that uses it), or call forget() to drop the token here": (
        "revoke the OAuth client in the Blnk Cloud dashboard, which ends every integration that uses it"
    ),
    "delete the credentials through TrueLayer's API, then call forget() to drop the token here": (
        "delete the credentials through TrueLayer's API"
    ),
}
"""Values of `Provider.revocation_advice` that were whole sentences, and the part of a sentence that replaces each."""

_MODULES = {name.rpartition(".")[0] for name in _NAMES}
_PACKAGES = {module.rpartition(".")[0] for module in _MODULES} - {""}


class _Loader(Loader):
    """Makes a module that has the moved names and nothing else."""

    def exec_module(self, module: ModuleType) -> None:
        inner = module.__name__.removeprefix(f"{_PACKAGE}.")

        def find(name: str) -> Any:
            if f"{inner}.{name}" not in _NAMES:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            home, _, now = _NAMES[f"{inner}.{name}"].rpartition(".")
            return getattr(import_module(f".{home}", _PACKAGE), now)

        vars(module)["__getattr__"] = find


def find_spec(name: str) -> ModuleSpec | None:
    """How to load a module that existed in an earlier version; None if it never did."""
    inner = name.removeprefix(f"{_PACKAGE}.")
    if inner not in _MODULES | _PACKAGES:
        return None
    return ModuleSpec(name, _Loader(), is_package=inner in _PACKAGES)


# --- what replaces private classes and functions in a pickle ---------------------------------------------------------


class _Values:
    """The fields of an object whose class was private, by name."""

    names = ""

    def __setstate__(self, state: dict[str, Any] | list[Any]) -> None:
        # Slots are listed by their values; an ordinary object has a dict.
        self.__dict__.update(dict(zip(self.names.split(), state, strict=False)) if isinstance(state, list) else state)


class ClientState(_Values):
    """What a client and its sources shared: provider, credentials, redirect_uri, store, policy, network, clock."""

    client: Any = None
    """The first client that was made from this state while the pickle was read."""


class Credentials(_Values):
    """How the client proved who it is."""

    names = (
        "client_id client_secret method basic_encoding private_key key_id signing_algorithm accepted_algorithms "
        "has_certificate"
    )


class Network(_Values):
    """How the authorization server was reached."""

    names = "policy verify cert proxy"


class SubjectsGrant(_Values):
    """Whose token it was: that of a subject."""

    names = "subject target"
    grant_type = "refresh_token"


class ClientsGrant(_Values):
    """Whose token it was: the client's own."""

    names = "scope target"
    grant_type = "client_credentials"


class Origins:
    """The origins of a provider, which are read from its `api_origins` again."""

    def __setstate__(self, state: object) -> None:
        """Nothing of it is needed."""


def settings_of_client(state: dict[str, Any], client: Any) -> dict[str, Any]:
    """The settings that `OAuthClient.__setstate__` reads, for a pickle that contains the shared state instead."""
    shared: Any = state["_engine"]
    if shared.client is not None:
        return {"state": shared.client._state}
    shared.client = client
    credentials, network = shared.credentials, shared.network
    return {
        "provider": shared.provider,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "redirect_uri": shared.redirect_uri,
        "store": shared.store,
        "client_auth": credentials.method,
        "private_key": credentials.private_key,
        "key_id": credentials.key_id,
        "signing_algorithm": credentials.signing_algorithm,
        "policy": shared.policy,
        "cert": network.cert,
        "verify": network.verify,
        "proxy": network.proxy,
        "clock": shared.clock,
        "has_certificate": credentials.has_certificate,
    }


def source_of_grant(shared: Any, grant: Any) -> Any:
    """The source of a grant, from a client's shared state, as earlier versions pickled it."""
    from .client import OAuthClient

    client: Any = shared.client
    if client is None:
        client = OAuthClient.__new__(OAuthClient)
        client.__setstate__({"_engine": shared})
    return client._source_of({"grant_type": grant.grant_type, **vars(grant)})


secret_not_pickled = NotPickled("client_secret")
key_not_pickled = NotPickled("private_key")
keys_not_pickled = NotPickled("keys")


def hook() -> Any:
    """The hook of a request that was answered."""
    from .requests import unpickled_hook

    return unpickled_hook


def open_file_store(store_type: Any, directory: str, check_permissions: bool) -> Any:
    """A `FileStore`, or a subclass of it."""
    return store_type(directory, check_permissions=check_permissions)


def open_encrypted_store(store_type: Any, inner: Any, keys: Any) -> Any:
    """An `EncryptedStore`, or a subclass of it."""
    return store_type(inner, keys=keys)


def open_keyring_store(store_type: Any, service: str, backend: Any, fallback: Any) -> Any:
    """A `KeyringStore`, or a subclass of it."""
    return store_type(service, backend=backend, fallback=fallback)


def open_redis_store(url: str, namespace: str, lease: float, expire_with_refresh_token: bool) -> Any:
    """A `RedisStore`."""
    from .stores import RedisStore

    return RedisStore(url, namespace=namespace, lease=lease, expire_with_refresh_token=expire_with_refresh_token)


def open_sql_store(url: str, lease: float) -> Any:
    """A `SQLStore`."""
    from .stores import SQLStore

    return SQLStore(url, lease=lease)
