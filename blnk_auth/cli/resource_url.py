"""A URL in the place of a profile: an API that describes by itself how to sign in (RFC 9728), such as an MCP server.

Used by `login`, `status`, `token`, `request` and `logout`. It promises that the options of every client mean what they
mean with a profile, that an option which has no meaning here is refused, and that a URL needs no configuration file. It
never asks a user: `login` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..config import Profile, profile_names
from ..config._document import find_config
from ..config._of_url import profile_of_url
from ..config._settings import COMMON, every_setting
from ..source import TokenSource
from .exit_status import CONFIGURATION, Failure
from .options import Selection
from .terminal import waiting

if TYPE_CHECKING:
    from .._resource.registered_client import RegisteredClient
    from ..resource import ProtectedResource

USUAL_SUBJECT = "me"
"""Whose tokens, unless `--subject` names someone: who types a URL signs in for themselves."""

_DECIDED_BY_THE_API = ("resource", "step_up", "consent_ended")

_USED = {each.name for each in COMMON} - set(_DECIDED_BY_THE_API)
_MEANINGLESS = {each.name for each in every_setting()} - _USED


def selected_url(selection: Selection, typed: str | None = None) -> str | None:
    """The URL that takes the place of a profile; None: a profile is used.

    Args:
        selection: What the options select. Its profile may be a URL.
        typed: The URL that was typed as an argument of the command. None: none was.

    Raises:
        UsageError: A profile was named too, or an option has no meaning with a URL.
    """
    url = typed or (selection.name if "://" in selection.name else None)
    if url is None:
        return None
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if typed is not None and "profile" in given:
        raise click.UsageError("a URL takes the place of a profile; leave out --profile, or the URL")
    for option in context.command.params:
        if option.name in given & _MEANINGLESS:
            raise click.UsageError(f"{option.opts[0]} has no meaning with a URL; leave it out")
    # For the command that an error advises.
    context.meta["profile"] = url
    return url


def needs_no_profile(selection: Selection) -> bool:
    """Whether no profile was named, and there is no usual one, so that the URL of a request takes its place."""
    source = click.get_current_context().get_parameter_source("profile")
    if source is not ParameterSource.DEFAULT or "provider" in selection.overrides:
        return False
    file = find_config(selection.path)
    return file is None or selection.name not in profile_names(file)


def open_resource(selection: Selection, url: str) -> tuple[Profile, ProtectedResource]:
    """The API at a URL, and the settings that options and variables give. Raises `ConfigurationError`."""
    from ..resource import ProtectedResource

    profile = profile_of_url(url, {name: value for name, value in selection.overrides.items() if name in _USED})
    with waiting("Opening the store"):
        store = profile.open_store()
        settings: dict[str, Any] = {"store": store, "scope": profile.scope, **profile.client_settings()}
        return profile, ProtectedResource(url, **settings)


def source_at(profile: Profile, resource: ProtectedResource, *, itself: bool) -> TokenSource:
    """The source of the tokens that the options select."""
    if itself:
        return resource.for_itself(scope=profile.scope, audience=profile.audience)
    return resource.for_subject(profile.subject or USUAL_SUBJECT)


def stored_client_at(resource: ProtectedResource) -> RegisteredClient | None:
    """The client that is stored for the API; None if nothing is. No server is asked. Raises `StoreError`."""
    state = resource._state  # pyright: ignore[reportPrivateUsage]  # of this package
    return state.operations.begin(lambda _events: state.stored_client()).wait(state.wait_timeout)


def client_at(resource: ProtectedResource) -> RegisteredClient:
    """The client at the API's authorization server, which is learned, and where it is registered, if that is needed.

    Raises:
        Failure: The URL is not a protected resource.
        BlnkAuthError: A server does not answer, or no client can be registered.
    """
    state = resource._state  # pyright: ignore[reportPrivateUsage]  # of this package
    with waiting("Asking the API how to sign in"):
        client = state.operations.begin(lambda _events: state.known_client(None)).wait(state.wait_timeout)
    if client is None:
        raise Failure(
            f"{resource.url} is not a protected resource: it describes no sign-in (RFC 9728)",
            CONFIGURATION,
            remedy="check the URL, or describe the API's authorization server in a profile: blnk-auth init",
        )
    return client
