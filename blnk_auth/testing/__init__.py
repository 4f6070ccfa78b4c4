"""Test tools for code that uses blnk_auth: a sandbox provider, a clock to move, the contract of a store.

Used by tests; the library itself never imports it. It promises that importing this package imports nothing else, and
that `Clock` and `store_contract` work without the extra `blnk-auth[sandbox]`.

* `sandbox`: a provider to test against. `fixtures`: a sandbox and a clock as pytest fixtures. `_clock`: the clock.
* `store_contract`: the tests for authors of stores. `_contract_workers`: what they do in threads and processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import store_contract
    from ._clock import Clock
    from .sandbox import Counts, Fault, RecordedRequest, Sandbox

__all__ = ["Clock", "Counts", "Fault", "RecordedRequest", "Sandbox", "store_contract"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "store_contract":
        return import_module(".store_contract", __name__)
    return getattr(import_module("._clock" if name == "Clock" else ".sandbox", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
