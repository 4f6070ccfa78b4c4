"""The sandbox: an authorization server and a small API on a real loopback socket, with a provider's personality.

    with Sandbox() as sandbox:
        requests.get(f"{sandbox.origin}/data/ledgers", headers={"Authorization": "Bearer ..."})

Used by tests, by the demo and by `blnk-auth sandbox`. Needs the extra `blnk-auth[sandbox]`. It listens on loopback
only, and is for tests and demonstrations: anyone who can reach its port can sign in as anyone.
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
    from ._faults import Fault
    from ._journal import Counts, RecordedRequest
    from ._server import Sandbox
except ImportError as _error:
    _package = (_error.name or "starlette").partition(".")[0]
    raise import_failure("the sandbox", _package, "sandbox", _error) from _error

__all__ = ["Counts", "Fault", "RecordedRequest", "Sandbox", "blink", "blnk_cloud", "browser", "flinks"]
