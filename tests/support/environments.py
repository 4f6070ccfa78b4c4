"""Environments that hold chosen packages and nothing else, linked from the one that runs the tests.

Used by tests of what an installation has with and without an extra. They need no network, and take no time to fill.
"""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import blnk_auth

PACKAGE = Path(blnk_auth.__file__).parent


def make_environment(home: Path, requirement: str = "blnk-auth") -> Path:
    """The Python of a new virtual environment with blnk_auth and all that `requirement` brings: `blnk-auth[sql]`."""
    venv.create(home, symlinks=True, with_pip=False)
    site_packages = next(home.glob("lib/python*/site-packages"))
    (site_packages / "blnk_auth").symlink_to(PACKAGE)
    for distribution in requirements_of(requirement):
        for name in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            link = site_packages / name
            # Parts of one namespace package come from several distributions.
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(name))))
    return home / "bin" / "python"


def requirements_of(requirement: str) -> Iterator[metadata.Distribution]:
    """The distributions that an installation of `requirement` brings, itself left out."""
    own = Requirement(requirement).name
    found: dict[str, metadata.Distribution] = {}
    seen: set[str] = set()
    queue = [Requirement(requirement)]
    while queue:
        required = queue.pop()
        extras = required.extras or {""}
        distribution = metadata.distribution(required.name)
        for line in distribution.requires or ():
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                further.marker = None
                if str(further) not in seen:
                    seen.add(str(further))
                    queue.append(further)
        if required.name != own:
            found[required.name] = distribution
    yield from found.values()


def run_in(python: Path, code: str, *, cwd: Path | None = None) -> str:
    """What `code` prints there; any warning is an error."""
    command = [str(python), "-W", "error", "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
