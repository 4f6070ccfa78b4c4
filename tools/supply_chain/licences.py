"""The licence of each package in the locks, and which licences are allowed.

Used by `make audit` and by the tests, which fail on a package whose licence is not known, not allowed, or not the one
that its metadata declares. The check asks nobody: what is known is written in requirements/licences.toml, and compared
with what is installed. `python -m supply_chain.licences ENVIRONMENT...` adds the packages that are new in the locks,
with what their metadata declares, in those environments or in the wheel that pip downloads by its hash. It never adds a
licence to those that are allowed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from supply_chain import locks

KNOWN = locks.REQUIREMENTS / "licences.toml"

OF_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
}
"""What a classifier of older metadata means. "BSD License" does not name the number of clauses; all are allowed."""

OF_TEXTS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
}
"""What the free text of older metadata means, in lower case."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.+-]+)?")
_TOKEN = re.compile(r"\(|\)|\bAND\b|\bOR\b|" + _IDENTIFIER.pattern)


def known() -> dict[str, Any]:
    """requirements/licences.toml: `allowed`, `exceptions` with a reason each, and `packages`."""
    return tomllib.loads(KNOWN.read_text("utf-8"))


def complaints(locked: Iterable[str], known: Mapping[str, Any]) -> list[str]:
    """What is wrong with the licences of the packages `locked`: one line for each, by name."""
    allowed, exceptions, packages = set(known["allowed"]), known["exceptions"], known["packages"]
    found: list[str] = []
    for name in sorted({*locked}):
        if name not in packages:
            found.append(
                f"{name}: its licence is not known: make licences, or read it and add it to requirements/licences.toml"
            )
        elif not permits(packages[name], allowed) and not str(exceptions.get(name, "")).strip():
            found.append(f"{name}: {packages[name]} is not allowed, and there is no exception with a reason")
    found += [f"{name}: in no lock" for name in sorted(packages.keys() - {*locked})]
    needless = (name for name in exceptions if name not in packages or permits(packages[name], allowed))
    return found + [f"{name}: the exception is not needed" for name in sorted(needless)]


def permits(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be fulfilled with `allowed` alone: all parts of AND, one part of OR.

    Raises:
        ValueError: It is not such an expression.
    """
    tokens = _TOKEN.findall(expression)
    if "".join(tokens).replace(" ", "") != expression.replace(" ", ""):
        raise ValueError(f"not an SPDX expression: {expression!r}")
    result = _any(tokens, allowed)
    if tokens:
        raise ValueError(f"not an SPDX expression: {expression!r}")
    return result


def _any(tokens: list[str], allowed: set[str]) -> bool:
    results = [_all(tokens, allowed)]
    while tokens[:1] == ["OR"]:
        del tokens[0]
        results.append(_all(tokens, allowed))
    return any(results)


def _all(tokens: list[str], allowed: set[str]) -> bool:
    results = [_one(tokens, allowed)]
    while tokens[:1] == ["AND"]:
        del tokens[0]
        results.append(_one(tokens, allowed))
    return all(results)


def _one(tokens: list[str], allowed: set[str]) -> bool:
    if not tokens or tokens[0] in ("AND", "OR", ")"):
        raise ValueError("an SPDX expression has a name where there is none")
    token = tokens.pop(0)
    if token != "(":
        return token in allowed
    result = _any(tokens, allowed)
    if tokens[:1] != [")"]:
        raise ValueError("a bracket of an SPDX expression is not closed")
    del tokens[0]
    return result


def declared(package: metadata.PackageMetadata) -> str | None:
    """The licence that metadata declares, as SPDX; None if it does not, or in words that are not known here."""
    if expression := package.get("License-Expression"):
        return str(expression)
    text = str(package.get("License") or "").strip()
    if text.lower() in OF_TEXTS:
        text = OF_TEXTS[text.lower()]
    is_expression = re.fullmatch(rf"{_IDENTIFIER.pattern}( (AND|OR) {_IDENTIFIER.pattern})*", text)
    if is_expression and text.upper() != "UNKNOWN":
        return text
    classifiers = [each.rpartition(" :: ")[2] for each in package.get_all("Classifier") or () if "License ::" in each]
    of_classifiers = {OF_CLASSIFIERS.get(each) for each in classifiers if each != "OSI Approved"}
    return of_classifiers.pop() if len(of_classifiers) == 1 else None


def installed(environments: Iterable[Path]) -> Iterator[tuple[str, str, str | None]]:
    """Name, version and declared licence of what is installed: in virtual environments, or directories of packages."""
    for environment in environments:
        directories = [str(path) for path in environment.glob("lib/python*/site-packages")] or [str(environment)]
        for distribution in metadata.distributions(path=directories):
            name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
            yield name, distribution.version, declared(distribution.metadata)


def downloaded(package: locks.Locked) -> str | None:
    """The licence that a locked package declares in its wheel; None if there is no wheel for this machine, either."""
    with tempfile.TemporaryDirectory() as directory:
        line = f"{package.name}=={package.version} " + " ".join(f"--hash=sha256:{each}" for each in package.hashes)
        (Path(directory) / "lock.txt").write_text(f"{line}\n", "utf-8")
        command = "-m pip download --quiet --no-deps --only-binary :all: --require-hashes -r lock.txt".split()
        subprocess.run([sys.executable, *command], cwd=directory, capture_output=True, check=False)
        for wheel in Path(directory).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
                return declared(metadata.PathDistribution(zipfile.Path(archive, inside).parent).metadata)
    return None


def disagreements(environments: Iterable[Path], known: Mapping[str, Any]) -> list[str]:
    """Packages that declare another licence than requirements/licences.toml has, as after a change of it."""
    packages, by_hand = known["packages"], known["read_by_hand"]
    found = {
        f"{name} {version}: it declares {licence}, and requirements/licences.toml has {packages[name]}"
        for name, version, licence in installed(environments)
        if name in packages and name not in by_hand and licence is not None and licence != packages[name]
    }
    return sorted(found)


def main(arguments: list[str]) -> int:
    """Add to requirements/licences.toml what is new in the locks, and print what is wrong with it then."""
    locked = locks.names(locks.locks())
    if arguments:
        every = {package.name: package for file in locks.locks() for package in locks.read(file.read_text("utf-8"))}
        found = {name: licence for name, _, licence in installed(map(Path, arguments)) if licence is not None}
        found |= known()["packages"]
        packages = {name: found.get(name) or downloaded(every[name]) for name in sorted(every)}
        lines = [f'{name} = "{licence}"' for name, licence in packages.items() if licence is not None]
        head, _, _ = KNOWN.read_text("utf-8").partition("[packages]\n")
        KNOWN.write_text(f"{head}[packages]\n" + "\n".join(lines) + "\n", "utf-8")
    wrong = complaints(locked, known()) + disagreements(map(Path, arguments), known())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
