"""Test tools for code that uses blnk_auth: a sandbox provider, a clock to move, the contract of a store.

Used by tests; the library itself never imports it. Importing this package imports nothing else; `Clock` and
`store_contract` work without the extra `blnk-auth[sandbox]`.
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
