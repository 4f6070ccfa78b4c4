"""Every benchmark in one run: figures as JSON, a Markdown page and plots.

    python benchmarks/run.py            everything, beside every peer; writes the page of the documentation
    python benchmarks/run.py --quick    blnk_auth beside the limits, in under three minutes; fails if the hot path takes
                                        over 2 % more instructions than in benchmarks/baseline.json
    python benchmarks/run.py --report   the page again from the figures of the last full run

The baseline has what our classes need above a trivial one in the same run, as a share of the request, for each release
of Python: it does not depend on the machine. On another release of the same version, 10 % are allowed. After a change
that is meant to cost something: `python benchmarks/run.py --quick --accept`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"
RESULTS, BASELINE = HERE / "results.json", HERE / "baseline.json"
SECTIONS = ("hot_path", "proofs", "herd", "stalls", "embedded", "stores", "fleet", "imports", "memory", "failures")
QUICK_SECTIONS = ("hot_path", "proofs", "herd", "stalls", "embedded", "fleet", "memory")
PYTHON = platform.python_version()
ALLOWED, ALLOWED_ELSEWHERE = 1.02, 1.10
"""A hot path may become this much dearer before `--quick` fails: on the release of Python whose figures the baseline
has, where two runs differ by half a percent, and on another release of the same version."""

PACKAGES = (
    "blnk-auth httpx httpx2 requests authlib requests-oauthlib requests-oauth2client httpx-auth requests-auth "
    "google-auth msal msal-extensions azure-core mcp botocore"
).split()


def section(name: str, *, quick: bool) -> Any:
    """The figures of one section, measured in a process of its own."""
    began_at = time.monotonic()
    command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{name}: {time.monotonic() - began_at:.0f} s", file=sys.stderr)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed")
    return json.loads(done.stdout)


def now() -> dict[str, Any]:
    """The day, and how busy other programs keep the machine before a section begins."""
    return {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "busy": busy(), "processors": os.cpu_count()}


def busy(seconds: float = 2.0) -> float | None:
    """How many processors are in use while this program rests; None where the system does not report it."""
    if not Path("/proc/stat").exists():
        return None
    total, idle = _ticks()
    time.sleep(seconds)
    total_then, idle_then = _ticks()
    return (1 - (idle_then - idle) / (total_then - total)) * (os.cpu_count() or 1)


def _ticks() -> tuple[int, int]:
    """All ticks of all processors since the start of the system, and those in which they had nothing to do."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def machine() -> dict[str, Any]:
    """Where and with what the figures were taken."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "from the checkout"
    return {
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
    }


def regressions(found: dict[str, Any]) -> list[str]:
    """What became dearer than the baseline allows."""
    now = counted_ratios(found)
    if not now:
        print("hot path: no valgrind here, so instructions were not counted and not compared", file=sys.stderr)
        return []
    before, allowed = baselines().get(PYTHON), ALLOWED
    if before is None:
        before, allowed = _of_another_release(), ALLOWED_ELSEWHERE
    if before is None:
        print(f"hot path: benchmarks/baseline.json has nothing for Python {PYTHON}; not compared", file=sys.stderr)
        return []
    return [
        f"{label}: {now[label]:.4f}, {now[label] / ratio - 1:+.1%} against the baseline {ratio:.4f}"
        for label, ratio in before.items()
        if now.get(label, 0.0) > ratio * allowed
    ]


def counted_ratios(found: dict[str, Any]) -> dict[str, float]:
    """What the baseline holds: our auth classes above a trivial one, and a request with a proof over the bare signature."""
    ours = found.get("hot_path", {}).get("step", {}).get("above_trivial", {})
    proofs = found.get("proofs", {}).items()
    return ours | {f"proof {label}": each["over_bare"] for label, each in proofs if label.startswith("ES256")}


def _of_another_release() -> dict[str, float] | None:
    version = PYTHON.rpartition(".")[0]
    return next((ratios for release, ratios in baselines().items() if release.rpartition(".")[0] == version), None)


def accept(found: dict[str, Any]) -> None:
    """Make the ratios of this run the baseline."""
    ours = {label: round(ratio, 4) for label, ratio in counted_ratios(found).items()}
    BASELINE.write_text(json.dumps({**baselines(), PYTHON: ours}, indent=2) + "\n")


def baselines() -> dict[str, dict[str, float]]:
    """The accepted ratios, by release of Python and label."""
    return json.loads(BASELINE.read_text()) if BASELINE.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="blnk_auth and the limits only; compare with the baseline")
    parser.add_argument("--accept", action="store_true", help="make this run's hot path the baseline")
    parser.add_argument("--report", action="store_true", help="write the page from the figures of the last full run")
    parser.add_argument(
        "--only", nargs="*", choices=SECTIONS, help="only these sections; the others keep their figures"
    )
    arguments = parser.parse_args()
    if arguments.report:
        found = json.loads(RESULTS.read_text())
    else:
        names = arguments.only or (QUICK_SECTIONS if arguments.quick else SECTIONS)
        kept = json.loads(RESULTS.read_text()) if arguments.only and RESULTS.exists() and not arguments.quick else {}
        taken: dict[str, Any] = {}
        measured: dict[str, Any] = {}
        for name in names:
            taken[name] = now()
            measured[name] = section(name, quick=arguments.quick)
        found = {**kept, "machine": machine(), **measured, "taken": {**kept.get("taken", {}), **taken}}
    if arguments.accept:
        accept(found)
    import report

    if arguments.quick:
        print(report.targets(found))
        dearer = regressions(found) if "hot_path" in found else []
        if dearer:
            sys.exit("benchmarks: the hot path became slower\n  " + "\n  ".join(dearer))
        return
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    report.write(found, PAGE)
    print(report.targets(found))


if __name__ == "__main__":
    main()
