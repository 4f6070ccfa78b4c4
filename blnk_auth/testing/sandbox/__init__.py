"""The sandbox: an authorization server and a small API on a real loopback socket, with a provider's personality.

    with Sandbox() as sandbox:
        requests.get(f"{sandbox.origin}/data/ledgers", headers={"Authorization": "Bearer ..."})

Used by tests, by the demo and by `blnk-auth sandbox`. Needs the extra `blnk-auth[sandbox]`. It promises the behaviour
that each provider documents. It is for tests and demonstrations, because anyone who can reach its port can sign in as
anyone; so it never listens on more than loopback.

Where to find it, from the outside to the inside:

* `_sandbox`: the class `Sandbox`, which tests use. `_control`: the same over HTTP, for other processes.
* `_http_server`: the socket and its thread. `_endpoint`: one request, from its bytes to its response, with its fault.
* `_blnk_cloud`, `_blink`, `_flinks`, `_mcp`: the personalities. Each is a list of endpoints, and a new one is one more
  file, and its name in `_personalities`. `_blink_permissions`: consents whose tokens bLink keeps. `_blink_modules`: its
  API.
  `_blnk_mcp`: the MCP server of Blnk Cloud. `_mcp_clients`: how clients become known to that of `_mcp`.
* `_authorization_page`, `_token_request`, `_device`, `_pushed_requests`, `_grant_management`: endpoints that several
  personalities have. `_authorization_request`, `_authorization_details`: what a client asks for. `_extensions`: what is
  switched on beyond the provider. `_metadata`: the document that lists it. `_exchanges`: tokens for other tokens.
* `_demands`: an API that asks for another scope or a better sign-in. `_token_binding`: tokens that only their owner can
  use. `_proofs`, `_proof_url`, `_nonces`: the check of DPoP proofs.
* `_authorization_server`: the state behind them: codes, grants and tokens, without HTTP. `_registered_clients`: whose.
* `_issued`: what such a server issues, as values. `_recent_grants`: the latest grants, to show and to change.
  `_managed_grants`: those that clients refer to by their ids.
* `_pages`, `_page_templates`: the HTML that a user sees. `_browser`: a user who signs in.
* `_live_pages`, `_live_templates`, `_event_stream`: the pages about the sandbox itself, and their live events.
  `_same_origin`: refuses what another site sends to them. `_answer`: a response as a value.
* `_faults`, `_named_faults`: what fails on demand, and the documented errors of each provider by name. `_journal`: the
  requests that arrived, and their counts.
* `_setting_checks`, `_client_settings`: checks of a sandbox's arguments, and the settings of its client.
  `_env_file`: a `.env` file. `_certificates`: its certificate authority. `_sample_data`: ledgers and accounts.
"""

from __future__ import annotations

from importlib import import_module

from ...errors._extras import import_failure

try:
    # Each by its own name, so that the one that is missing is named.
    for _name in ("jinja2", "starlette", "uvicorn"):
        import_module(_name)
    from . import _blink as blink
    from . import _blnk_cloud as blnk_cloud
    from . import _browser as browser
    from . import _flinks as flinks
    from . import _mcp as mcp
    from ._extensions import Extension
    from ._faults import Fault
    from ._journal import Counts, RecordedRequest
    from ._sandbox import Sandbox
except ImportError as _error:
    _package = (_error.name or "starlette").partition(".")[0]
    raise import_failure("the sandbox", _package, "sandbox", _error) from _error

__all__ = [
    "Counts",
    "Extension",
    "Fault",
    "RecordedRequest",
    "Sandbox",
    "blink",
    "blnk_cloud",
    "browser",
    "flinks",
    "mcp",
]
