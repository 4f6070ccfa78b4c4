"""`make release`: everything that a release needs, and stops before anything is published.

Used by maintainers, after `make test`, `make audit` and `.ci/run` have passed. It promises to leave the wheel and the
sdist of this commit in dist/, with their bill of materials, and to print the commands that publish them. It never
publishes, tags or pushes.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(version: str, changelog: str, changed: str, branch: str) -> list[str]:
    """What keeps this checkout from being released as `version`.

    `changelog`: the text of CHANGELOG.md. `changed`: what `git status --porcelain` prints. `branch`: the current one.
    """
    found: list[str] = []
    if changed.strip():
        found.append("the working tree has changes: commit or remove them")
    if branch != "main":
        found.append(f"this is the branch {branch}, and releases are made from main")
    if re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE) is None:
        found.append(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD': write the date of the release there")
    return found


def differences(dist: Path) -> list[str]:
    """What the bill of materials in `dist` and the files beside it do not agree on: each file by its name.

    A file that was changed, added or removed after the bill was written is one; so is a bill that is missing.
    """
    bills = list(dist.glob("*.cdx.json"))
    if len(bills) != 1:
        return [f"{dist.name}/ has {len(bills)} bills of materials, and needs one: make sbom"]
    references = json.loads(bills[0].read_text("utf-8"))["metadata"]["component"]["externalReferences"]
    listed = {each["url"]: each["hashes"][0]["content"] for each in references if each["type"] == "distribution"}
    built = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir() if path not in bills}
    differing = sorted(name for name in listed.keys() | built.keys() if listed.get(name) != built.get(name))
    return [f"{name} is not what {bills[0].name} describes: make clean, and build again" for name in differing]


def main() -> int:
    """Check, build, check what was built, and print what is left to do."""
    version = _output(sys.executable, "-c", "import blnk_auth; print(blnk_auth.__version__)")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = problems(
        version, changelog, _output("git", "status", "--porcelain"), _output("git", "branch", "--show-current")
    )
    found += differences(ROOT / "dist")
    if found:
        print(f"{version} cannot be released:", *(f"  - {each}" for each in found), sep="\n", file=sys.stderr)
        return 1
    packages = sorted(path for path in (ROOT / "dist").iterdir() if path.suffix != ".json")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, packages)], check=True, cwd=ROOT)
    print(
        f"\n{version} is built and checked: {', '.join(each.name for each in packages)}. Nothing is published.\n"
        "Publish the bill of materials where the release is announced: an index does not take it. Next:\n"
        f"  git tag -s v{version} -m {version} && git push origin v{version}\n"
        f"  {sys.executable} -m twine upload {' '.join(f'dist/{each.name}' for each in packages)}"
    )
    return 0


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
