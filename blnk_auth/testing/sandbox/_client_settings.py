"""How a client of the sandbox is configured: as variables for a `.env` file, and as Python.

Used by `blnk-auth sandbox` and by the landing page. It promises that both have the same values, and that the variables
are those that the command line reads. It never makes a client.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

_MAKERS = {"blnk_cloud": "BlnkCloud", "blink": "BLink", "flinks": "Flinks", "discover": "Provider.discover"}
"""What makes the provider in Python, by the value of the setting `provider`."""

OF_PROVIDERS = (
    *("base_url", "issuer", "host", "authorization_endpoint", "target_id", "username", "user_agent", "client_auth"),
    *("consent", "dpop", "scope", "verify", "cert"),
)
"""Every setting that only some sandboxes need: another sandbox's variables must be removed from a `.env` file."""


def variable(setting: str) -> str:
    """The variable that the command line reads for a setting."""
    return f"BLNK_AUTH_{setting.upper()}"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings of the registered client, by the names that a profile has. Immutable.

    Attributes:
        provider: The value of the setting `provider`.
        of_provider: The settings of the provider.
        of_client: The settings of the client, with its secret if it has one.
        subject: Whose tokens the command line uses where none is named.
        scope: The scope to ask for at sign-in, where the provider requires one. None: none.
        dpop: Whether the client binds its tokens to keys.
    """

    provider: str
    of_provider: Mapping[str, str]
    of_client: Mapping[str, str] = field(repr=False)
    subject: str = "alice"
    scope: str | None = None
    dpop: bool = False

    def variables(self) -> dict[str, str]:
        """What a `.env` file wants: `BLNK_AUTH_<SETTING>` by name."""
        scope = {} if self.scope is None else {"scope": self.scope}
        dpop = {"dpop": "true"} if self.dpop else {}
        settings = {"provider": self.provider, **self.of_provider, **self.of_client, **dpop, "subject": self.subject}
        return {variable(name): value for name, value in {**settings, **scope}.items()}

    def terminal(self) -> str:
        """The commands with which a user signs in, with these variables in a `.env` file."""
        return "set -a; . ./.env; set +a\nblnk-auth login\nblnk-auth token"

    def python(self) -> str:
        """The same as a statement that makes the `OAuthClient`."""
        settings = dict(self.of_provider)
        if self.provider == "discover" and "verify" in self.of_client:
            settings["verify"] = self.of_client["verify"]
        provider = _call(_MAKERS[self.provider], _arguments(settings), 4)
        dpop = ["dpop=True"] if self.dpop else []
        return f"client = {_call('OAuthClient', [provider, *_arguments(self.of_client), *dpop], 0)}"

    def python_program(self, api_url: str) -> str:
        """A whole program: a user signs in, and the API is called with the token."""
        made_by = _MAKERS[self.provider].partition(".")[0]
        names = ", ".join(sorted([made_by, "Auth", "OAuthClient"]))
        scope = "" if self.scope is None else f", scope={_literal(self.scope)}"
        imports = ["import httpx", f"from blnk_auth import {names}"]
        sign_in = [f'alice = client.authorize_interactively("{self.subject}"{scope})  # opens a browser']
        verify = ""
        if "verify" in self.of_client:
            imports.insert(0, "import ssl")
            verify = ", verify=tls"
            sign_in.append(f"tls = ssl.create_default_context(cafile={_literal(self.of_client['verify'])})")
        if "cert" in self.of_client:
            sign_in.append(f"tls.load_cert_chain({_literal(self.of_client['cert'])})")
        call = f'print(httpx.get("{api_url}", auth=Auth(alice){verify}).json())'
        return "\n".join([*imports, "", self.python(), *sign_in, call])


@dataclass(frozen=True, slots=True)
class ResourceSettings(ClientSettings):
    """What a client of the MCP personality needs: the URL of the resource, in `of_provider`. Immutable.

    There is a registered client too, but a client may also register itself, so that no variable is needed.
    """

    def variables(self) -> dict[str, str]:
        """There are none."""
        return {}

    def terminal(self) -> str:
        """The commands with which a user signs in and calls the API."""
        url = self.of_provider["url"]
        return f"blnk-auth login {url}\nblnk-auth request {url}/ledgers"

    def python(self) -> str:
        """A statement that makes the `ProtectedResource`."""
        return f"api = ProtectedResource({_literal(self.of_provider['url'])}, {_CLIENT_METADATA})"

    def python_program(self, api_url: str) -> str:
        """A whole program: the first request signs the user in, and calls the API with the token."""
        call = f'print(httpx.get("{api_url}", auth=Auth(alice)).json())'
        imports = ["import httpx", "from blnk_auth import Auth, ClientMetadata, ProtectedResource"]
        sign_in = f'alice = api.for_subject("{self.subject}", sign_in="browser")'
        return "\n".join([*imports, "", self.python(), sign_in, call])


_CLIENT_METADATA = 'client_metadata=ClientMetadata(client_name="Acme")'


def _arguments(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in settings.items()]


def _literal(value: str) -> str:
    """A string as a literal in double quotes: JSON's are Python's too."""
    return json.dumps(value, ensure_ascii=False)


def _call(name: str, arguments: list[str], indent: int) -> str:
    """A Python call, formatted: one argument per line, unless there is only one."""
    if len(arguments) == 1:
        return f"{name}({arguments[0]})"
    margin = " " * indent
    return f"{name}(\n" + "".join(f"{margin}    {argument},\n" for argument in arguments) + f"{margin})"


def settings_for(
    personality: str,
    *,
    origin: str,
    client_id: str,
    client_secret: str,
    redirect_uri: str,
    authority_file: str | None = None,
    certificate_file: str | None = None,
    extensions: Collection[str] = (),
) -> ClientSettings:
    """The settings of a client of the sandbox at `origin`.

    `personality` is that of the sandbox, or "device" for Blnk Cloud's with sign-in by device code, which a client finds
    by discovery, as it finds `extensions`. The two files are for a sandbox with TLS: its authority, and the client's
    certificate where it needs one.
    """
    registration = {"client_id": client_id, "client_secret": client_secret, "redirect_uri": redirect_uri}
    if authority_file is not None:
        registration["verify"] = authority_file
    if personality == "mcp":
        return ResourceSettings("protected_resource", {"url": f"{origin}/mcp"}, registration)
    if personality == "flinks":
        return ClientSettings("flinks", {"host": origin}, registration, scope="ACCOUNT_BASIC")
    if personality == "blink":
        return _blink(origin, registration, certificate_file, extensions)
    if "mtls" in extensions and certificate_file is not None:
        registration["cert"] = certificate_file
    if personality == "device" or extensions:
        return ClientSettings("discover", {"issuer": origin}, registration, dpop="dpop" in extensions)
    return ClientSettings("blnk_cloud", {"base_url": origin}, registration)


def _blink(
    origin: str, registration: dict[str, str], certificate_file: str | None, extensions: Collection[str]
) -> ClientSettings:
    from ._blink import BASE_PATH, DEFAULT_TARGET, authorize_path

    settings = {
        "base_url": origin + BASE_PATH,
        "authorization_endpoint": origin + authorize_path(),
        "target_id": DEFAULT_TARGET,
        "username": "alice",
        "user_agent": "Acme/1.0",
    }
    if "consent_3" in extensions:
        del settings["username"]
        settings["consent"] = "3.0"
    # The platform knows a client by its certificate, or, without TLS, by its id alone.
    del registration["client_secret"]
    if certificate_file is None:
        return ClientSettings("blink", settings, {**registration, "client_auth": "none"})
    return ClientSettings("blink", settings, {**registration, "cert": certificate_file})


def endpoints_of(settings: ClientSettings, origin: str) -> dict[str, str]:
    """The endpoints that a client of the sandbox at `origin` uses, by their names for a reader."""
    from ...config._provider import make_provider

    if settings.provider == "protected_resource":
        paths = {
            "authorization endpoint": "/authorize",
            "token endpoint": "/token",
            "registration endpoint": "/register",
        }
        return {"resource": settings.of_provider["url"], **{name: origin + path for name, path in paths.items()}}
    if settings.provider == "discover":
        # Discovery would ask this very sandbox for what is known here already.
        provider = make_provider("blnk_cloud", {"base_url": origin}, dict)
    else:
        provider = make_provider(settings.provider, dict(settings.of_provider), dict)
    authorization = provider.authorization_endpoint
    found = {
        "authorization endpoint": authorization if isinstance(authorization, str) else "",
        "token endpoint": provider.token_endpoint,
        "revocation endpoint": provider.revocation_endpoint or "",
        "device page": f"{origin}/device" if settings.provider == "discover" else "",
    }
    return {name: value for name, value in found.items() if value}
