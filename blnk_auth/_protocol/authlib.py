"""The functions of authlib that this library uses, and nothing else of it.

Used by the builders of requests. What this file promises:

* Only authlib's transport-free layer is imported: never `authlib.integrations`, never `authlib.jose`.
* Nothing is imported before the first request needs it, and every import is a statement, so that tools that bundle an
  application (PyInstaller) find it.
* An authlib that cannot be imported is a `ConfigurationError` that names the missing module.
* Any number of threads may need it for the first time at the same moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import cast

from ..errors import ConfigurationError


def token_request_form(grant_type: str, parameters: Mapping[str, str]) -> str:
    """The body of a token request, form-encoded (RFC 6749 section 4.1.3); parameters without a value are left out."""
    with _importing():
        from authlib.oauth2.rfc6749.parameters import prepare_token_request
    return prepare_token_request(grant_type, **parameters)


def revocation_form(token: str, token_type_hint: str, form: str) -> str:
    """`form` with the two parameters of a revocation request added (RFC 7009 section 2.1)."""
    with _importing():
        from authlib.oauth2.rfc7009 import prepare_revoke_token_request
    body, _ = prepare_revoke_token_request(token, token_type_hint, form)
    return body


def code_challenge(code_verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    with _importing():
        # Its stub has no types.
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # pyright: ignore[reportUnknownVariableType]
    return cast("Callable[[str], str]", create_s256_code_challenge)(code_verifier)


def url_with_parameters(endpoint: str, parameters: Mapping[str, str]) -> str:
    """The endpoint's URL with parameters added to its query, which is kept (RFC 6749 section 3.1)."""
    with _importing():
        from authlib.common.urls import add_params_to_uri
    return add_params_to_uri(endpoint, list(parameters.items()))


@contextlib.contextmanager
def _importing() -> Generator[None]:
    try:
        # The whole package first. Its modules import each other, so two threads that began with different ones would
        # wait for each other, and CPython would end one of the imports with an error (a deadlock, or a KeyError).
        import authlib.oauth2  # noqa: F401  # pyright: ignore[reportUnusedImport]

        yield
    except ImportError as error:
        raise ConfigurationError(
            f"the module {error.name} cannot be imported",
            remedy="install authlib again; an application that was bundled must contain authlib.oauth2",
        ) from error
