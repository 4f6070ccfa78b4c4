"""Tokens by which a platform identifies the program that it runs: Kubernetes and GitHub Actions.

Used by applications, as `client_assertion` of `OAuthClient`, and as what `for_token_exchange` and `for_assertion`
present. What this file promises:

* Each call returns the newest token. Nothing is kept.
* Two objects with equal arguments are equal, and a pickle contains these arguments only.
* A file and a response are read up to 64 KiB, and a response in the time that a `RenewalPolicy` allows.

It never verifies a token: only the server that it is presented to can.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from ._protocol.access_token import claims_of
from ._protocol.documents import read_document
from ._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from ._protocol.setting_checks import check_endpoint
from .errors import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    TemporarilyUnavailable,
    clears_locals,
    is_number,
    is_text,
    quoted,
    redacted,
)

__all__ = ["GitHubActionsToken", "KubernetesToken"]

_LONGEST = 65_536

_LATE = 300.0
"""Seconds after which an expired token is not explained by a clock that is ahead."""

_REQUEST_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

_A_PERMISSION = "give the job the permission `id-token: write`"


@clears_locals
@dataclass(frozen=True)
class KubernetesToken:
    """Reads a service account token that Kubernetes has projected into a file, when it is called.

    Kubernetes replaces the file before the token expires, so each call reads it again. Other platforms that put a token
    into a file work in the same way (Entra's workload identity, whose file `AZURE_FEDERATED_TOKEN_FILE` names).
    Immutable; may be shared between threads. The file is that of a
    [projected volume](https://kubernetes.io/docs/concepts/storage/projected-volumes/).

    Args:
        path: The file: the mount path of the volume, and the `path` of its `serviceAccountToken`.
        audience: The audience that the token must name, so that a token for another server is not presented, such as
            the one for the cluster itself. None: not checked.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    path: str | os.PathLike[str]
    audience: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike) or not os.fspath(self.path):
            raise ConfigurationError(
                f"path must be the path of a file, not {quoted(self.path)}",
                parameter="path",
                remedy="pass where the volume is mounted, such as '/var/run/secrets/tokens/acme'",
            )
        object.__setattr__(self, "path", os.fspath(self.path))
        _check_audience(self.audience)

    @clears_locals
    def __call__(self) -> str:
        """The token that is in the file now.

        Returns:
            The token.

        Raises:
            ConfigurationError: There is no such file, or it cannot be opened. Or `audience` is given, and the file has
                no JWT, or one for another audience. Or its token was not replaced in time.
            TemporarilyUnavailable: Reading it failed otherwise.
        """
        token = redacted(self._read())
        claims = claims_of(token)
        named: Any = claims.get("aud")
        audiences = cast("Sequence[object]", named if isinstance(named, list) else [named])
        if self.audience is not None and not claims:
            raise ConfigurationError(
                f"the file {quoted(self.path)} has no JWT, so that its audience is unknown",
                parameter="path",
                remedy="pass the mount path of the volume with the `path` of its serviceAccountToken; "
                "or audience=None, if the token is not a JWT",
            )
        if self.audience is not None and self.audience not in audiences:
            raise ConfigurationError(
                f"the token in {quoted(self.path)} is not for the audience {quoted(self.audience)}",
                parameter="audience",
                remedy="set `audience` of the serviceAccountToken in the volume, and pass the path of that volume",
            )
        expires_at = claims.get("exp")
        if is_number(expires_at) and expires_at + _LATE < time.time():
            raise ConfigurationError(
                f"the token in {quoted(self.path)} has expired and was not replaced",
                parameter="path",
                remedy="mount the volume without subPath, which Kubernetes does not update; else check the kubelet",
            )
        return token

    def _read(self) -> str:
        try:
            with Path(self.path).open(encoding="ascii") as file:
                return file.read(_LONGEST + 1).strip()
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, UnicodeDecodeError) as error:
            failure: BlnkAuthError = ConfigurationError(
                f"the token file {quoted(self.path)} cannot be read ({type(error).__name__})",
                parameter="path",
                remedy="mount a projected volume with a serviceAccountToken there, readable by this user",
            )
        except OSError as error:
            failure = TemporarilyUnavailable(
                f"the token file {quoted(self.path)} cannot be read ({type(error).__name__})",
                parameter="path",
                remedy="try again later",
            )
        # Raised here and not above: the traceback of the original error may refer to what was read.
        raise failure


@clears_locals
@dataclass(frozen=True)
class GitHubActionsToken:
    """Asks GitHub Actions for an OpenID Connect token of the running job, when it is called.

    The job needs the permission `id-token: write`. Forgejo Actions has the same interface. Immutable; may be shared
    between threads. The request is described in GitHub's page
    [OpenID Connect reference](https://docs.github.com/en/actions/reference/security/oidc).

    Args:
        audience: The audience that the token is for, as the server that it is presented to wants it. None: GitHub's
            default, which is the URL of the owner of the repository.

    Raises:
        ConfigurationError: `audience` cannot work.
    """

    audience: str | None = None

    def __post_init__(self) -> None:
        _check_audience(self.audience)

    @clears_locals
    def __call__(self) -> str:
        """A new token of the running job.

        Returns:
            The token.

        Raises:
            ConfigurationError: It is not a job of GitHub Actions, or it may not have a token.
            TemporarilyUnavailable: GitHub does not respond, or cannot issue one now.
            ProtocolError: The response has no token.
        """
        url, request_token = os.environ.get(_REQUEST_URL), redacted(os.environ.get(_REQUEST_TOKEN))
        if not url or not request_token:
            raise ConfigurationError(
                f"{_REQUEST_URL} and {_REQUEST_TOKEN} are not set, as they are in a job of GitHub Actions",
                parameter=_REQUEST_URL,
                remedy=_A_PERMISSION,
            )
        check_endpoint(url, _REQUEST_URL)
        if self.audience is not None:
            url += f"{'&' if '?' in url else '?'}audience={quote(self.audience, safe='')}"
        headers = {"Authorization": f"Bearer {request_token}", "Accept": "application/json"}
        return _token_in(_sent(HttpRequest("GET", url, headers, b"")))


def _sent(request: HttpRequest) -> HttpResponse:
    # Imported here: they are needed for this request only.
    from ._transport.network import Network, transport_for
    from .policy import RenewalPolicy

    policy = RenewalPolicy(max_answer_bytes=_LONGEST)
    try:
        return transport_for(None, Network(policy)).send(request)
    except NoResponse as failure:
        problem = failure.problem
    raise TemporarilyUnavailable(f"GitHub Actions gave no answer ({problem})", remedy="try again later")


def _token_in(response: HttpResponse) -> str:
    status = response.status_code
    document = read_document(response.body) or {}
    token = redacted(document.get("value"))
    if status == 200 and isinstance(token, str) and token:
        return token
    if status in (401, 403, 404) or 300 <= status < 400:
        raise ConfigurationError(
            f"GitHub Actions answered {status} to the request for a token of the job",
            remedy=_A_PERMISSION,
            status_code=status,
        )
    if status == 429 or status >= 500:
        raise TemporarilyUnavailable(
            f"GitHub Actions answered {status} to the request for a token of the job",
            remedy="try again later",
            status_code=status,
        )
    raise ProtocolError(
        f"GitHub Actions answered {status} without a token",
        remedy=f"check {_REQUEST_URL}, which the runner sets",
        status_code=status,
    )


def _check_audience(audience: str | None) -> None:
    if audience is not None and not (is_text(audience) and audience.strip()):
        raise ConfigurationError(
            f"audience must be None, or a non-empty string, not {quoted(audience)}",
            parameter="audience",
            remedy="pass what the server that the token is presented to wants, or leave it out",
        )
