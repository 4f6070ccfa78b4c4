"""The sandbox: an authorization server and a small API on a real loopback socket, with a provider's personality.

    with Sandbox() as sandbox:
        requests.get(f"{sandbox.origin}/data/ledgers", headers={"Authorization": "Bearer ..."})

Needs the extra `blnk-auth[sandbox]`. It is for tests and demonstrations only: anyone who can reach its loopback port
can sign in as anybody.
"""

from __future__ import annotations

from ...errors import import_failure

try:
    from . import _blink as blink
    from . import _blnk_cloud as blnk_cloud
    from . import _browser as browser
    from . import _flinks as flinks
    from ._faults import Fault
    from ._journal import Counts, RecordedRequest
    from ._server import Sandbox
except ImportError as error:
    package = (error.name or "starlette").partition(".")[0]
    raise import_failure("the sandbox", package, "sandbox", error) from error

__all__ = ["Counts", "Fault", "RecordedRequest", "Sandbox", "blink", "blnk_cloud", "browser", "flinks"]
