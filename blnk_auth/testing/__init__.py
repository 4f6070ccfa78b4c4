"""Test tools for code that uses blnk_auth: a sandbox provider, a clock to move, the contract of a store.

Used by tests; the library itself never imports it. It promises that importing this package imports nothing else, and
that `Clock` and `store_contract` work without the extra `blnk-auth[sandbox]`.

* `sandbox`: a provider to test against. `_client`: the client that is registered there. `_clock`: the clock.
* `pytest_plugin`: these as pytest fixtures; `fixtures`: two of them under short names.
* `_asserts`: what a test asserts of a sandbox. `_secret_search`: secrets in a text, in every encoding.
* `store_contract`: the tests for authors of stores. `_due_contract`: those for finding due records.
  `_contract_workers`: what they do in threads and processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import store_contract
    from ._asserts import assert_no_reuse, assert_no_secret_in, assert_renewed_once
    from ._clock import Clock
    from .sandbox import Counts, Fault, RecordedRequest, Sandbox

__all__ = [
    "Clock",
    "Counts",
    "Fault",
    "RecordedRequest",
    "Sandbox",
    "assert_no_reuse",
    "assert_no_secret_in",
    "assert_renewed_once",
    "store_contract",
]

_ELSEWHERE = {
    "Clock": "._clock",
    "assert_no_reuse": "._asserts",
    "assert_no_secret_in": "._asserts",
    "assert_renewed_once": "._asserts",
}
"""Where each name is that is not the sandbox's."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "store_contract":
        return import_module(".store_contract", __name__)
    return getattr(import_module(_ELSEWHERE.get(name, ".sandbox"), __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
