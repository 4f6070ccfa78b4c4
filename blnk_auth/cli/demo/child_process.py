"""How the demo starts a child process that runs the same Python and the same blnk_auth as this one.

Used for the sandbox's process and for the restart. It builds the command and the environment and never starts one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this package."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment that the child runs in."""
    # Without this, and without -P, a child started in a clone of the project would run the clone instead of us.
    ours = str(Path(__file__).resolve().parents[3])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ours}{os.pathsep}{inherited}" if inherited else ours}
