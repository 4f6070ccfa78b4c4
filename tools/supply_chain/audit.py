"""`make audit`: the packages of all locks, looked up in a list of known vulnerabilities by pip-audit.

Used by maintainers, in the environment of requirements/audit.txt; not by CI, which must not turn red because somebody
publishes a vulnerability. It promises to fail if a package has one that is not accepted below, if the service cannot be
reached, and if it does not know a package. It looks up what other platforms install too, which pip-audit alone leaves
out. It never installs anything.

    python -m supply_chain.audit [--vulnerability-service osv] [--osv-url URL]     as pip-audit has them
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from supply_chain import locks

ACCEPTED: dict[str, str] = {}
"""The id of a vulnerability that does not concern this project, and why."""

NOT_LOOKED_UP = "lowest.txt"
"""The oldest versions that we work with. Nobody installs them but `make test-lowest`, and some have known faults."""


def rounds(files: list[Path]) -> list[dict[str, locks.Locked]]:
    """Every version of every package of some locks, each once. In one round a package has one version."""
    versions: dict[str, dict[str, locks.Locked]] = {}
    for file in files:
        for package in locks.read(file.read_text("utf-8")):
            versions.setdefault(package.name, {})[package.version] = package
    count = max((len(each) for each in versions.values()), default=0)
    ordered = {name: list(each.values()) for name, each in versions.items()}
    return [{name: each[turn] for name, each in ordered.items() if turn < len(each)} for turn in range(count)]


def requirements(packages: dict[str, locks.Locked]) -> str:
    """The packages as a file for pip-audit: without markers, so that it leaves none out."""
    lines = [
        f"{package.name}=={package.version} " + " ".join(f"--hash=sha256:{digest}" for digest in package.hashes)
        for package in packages.values()
    ]
    return "\n".join(lines) + "\n"


def look_up(packages: dict[str, locks.Locked], options: list[str]) -> int:
    """Run pip-audit; return its status. `options`: further ones for it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requirements.txt"
        file.write_text(requirements(packages), "utf-8")
        fixed = ["--strict", "--disable-pip", "--require-hashes", "--progress-spinner=off", "--desc=on"]
        accepted = [word for vulnerability in ACCEPTED for word in ("--ignore-vuln", vulnerability)]
        command = [sys.executable, "-m", "pip_audit", *fixed, *accepted, *options, "-r", str(file)]
        return subprocess.run(command, check=False).returncode


def main(options: list[str]) -> int:
    """Look all of them up, also after one round has failed."""
    files = [file for file in locks.locks() if file.name != NOT_LOOKED_UP]
    statuses = [look_up(packages, options) for packages in rounds(files)]
    if any(statuses):
        print("What failed is above. For a vulnerability: make lock, or accept it in tools/supply_chain/audit.py")
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
