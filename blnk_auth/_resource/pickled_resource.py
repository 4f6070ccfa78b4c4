"""What a pickle of a `ProtectedResource` contains: its settings by name, so that a later version can read it.

Used by `ProtectedResource`. It promises that a pickle contains no secret, as that of an `OAuthClient`: what was passed
as text is replaced by `NotPickled`. What was learned, the registered client and the tokens stay in the store. It never
asks a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from .._renewal.clocks import given_clock
from ..errors import NotPickled
from .resource_state import ResourceState

_OF_ONE_PROCESS = frozenset({"on_event", "token_http", "step_up", "consent_ended"})


def settings_of(state: ResourceState) -> dict[str, Any]:
    """The arguments of `ProtectedResource`, by name, from which another process can make the same one."""
    given = {name: value for name, value in state.settings.arguments.items() if name not in _OF_ONE_PROCESS}
    secret, key, cert, proxy = (given[name] for name in ("client_secret", "private_key", "cert", "proxy"))
    return {
        **given,
        "url": state.url,
        "scope": state.settings.scope,
        "client_metadata": state.settings.metadata,
        "client_secret": NotPickled("client_secret") if isinstance(secret, str) else secret,
        "private_key": NotPickled("private_key") if isinstance(key, str | bytes | Mapping) else key,
        "dpop": state.template.proofs.pickled,
        "cert": tuple(map(str, cast("tuple[str, ...]", cert)[:2])) if isinstance(cert, tuple) else cert,
        "proxy": None if proxy is None else re.sub(r"//[^/]*@", "//", proxy),
        "clock": given_clock(state.template.clock),
        "on_event": None,
        "token_http": None,
    }
