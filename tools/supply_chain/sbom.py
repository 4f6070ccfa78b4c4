"""The bill of materials of a build, in CycloneDX: what the wheel and the sdist are, and what they run with.

Used by `make sbom` and `make release`, in the environment of requirements/audit.txt. It promises that the document
names the hashes of what is in dist/, and each package of requirements/runtime.txt with its version, hashes, licence,
marker, and what wants it. The document is valid by the strict schema of CycloneDX, and the same for the same build and
the same SOURCE_DATE_EPOCH. It never asks anybody, and invents nothing: a licence that is not known is an error.

It is beside the wheel, and not in it (PEP 770): the wheel contains nothing of others, and with which versions it is
installed is decided where it is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from supply_chain import licences, locks

SCHEMA = SchemaVersion.V1_6
"""Newer versions of CycloneDX add what is not used here, and not every scanner reads them."""

RUNTIME = locks.REQUIREMENTS / "runtime.txt"
OURSELVES_IN_A_LOCK = f"{locks.OURSELVES} (pyproject.toml)"


def document(built: list[Path], locked: list[locks.Locked], *, at: float) -> str:
    """The bill of materials of the files `built`, a wheel and an sdist. `at`: when, in seconds since 1970.

    Raises:
        ValueError: The licence of a package is not known, or the document would not be valid.
    """
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built}
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, " ".join(sorted(digests.values()))))
    bom.metadata.timestamp = datetime.fromtimestamp(at, UTC)
    bom.metadata.component = ourselves = _ourselves(digests)
    packages, needed = licences.known()["packages"], _needed(locked)
    components: dict[str, list[Component]] = {}
    for package in locked:
        if package.name not in packages:
            raise ValueError(f"{package.name}: its licence is not known: make licences")
        scope = ComponentScope.REQUIRED if package.name in needed else ComponentScope.OPTIONAL
        components.setdefault(package.name, []).append(_component(package, packages[package.name], scope))
    bom.components.update(component for versions in components.values() for component in versions)
    bom.register_dependency(ourselves)
    for package in locked:
        for wanting in package.wanted_by:
            owners = [ourselves] if wanting == OURSELVES_IN_A_LOCK else components[wanting]
            for owner in owners:
                bom.register_dependency(owner, components[package.name])
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2)
    if error := JsonStrictValidator(SCHEMA).validate_str(text):
        raise ValueError(f"the document is not valid CycloneDX: {error}")
    return text + "\n"


def _ourselves(digests: dict[str, str]) -> Component:
    version = next(match[1] for name in digests if (match := re.fullmatch(r"blnk_auth-(.+)-py3-none-any\.whl", name)))
    files = [
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(name),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for name, digest in digests.items()
    ]
    return Component(
        type=ComponentType.LIBRARY,
        name=locks.OURSELVES,
        version=version,
        bom_ref=f"{locks.OURSELVES}=={version}",
        purl=PackageURL("pypi", name=locks.OURSELVES, version=version),
        licenses=[LicenseFactory().make_from_string("MIT")],
        external_references=files,
    )


def _component(package: locks.Locked, licence: str, scope: ComponentScope) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=f"{package.name}=={package.version}",
        purl=PackageURL("pypi", name=package.name, version=package.version),
        licenses=[LicenseFactory().make_from_string(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes],
        scope=scope,
        properties=[Property(name="python:marker", value=package.marker)] if package.marker else None,
    )


def _needed(locked: list[locks.Locked]) -> set[str]:
    """What every installation has: the dependencies that are in no extra, and what they want."""
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in project["dependencies"]}
    while more := {package.name for package in locked if needed & {*package.wanted_by}} - needed:
        needed |= more
    return needed


def main(arguments: list[str]) -> int:
    """Write the document beside the wheel and the sdist of a directory: of dist/, if none is named."""
    directory = Path(arguments[0] if arguments else locks.ROOT / "dist")
    built = [*directory.glob("*.whl"), *directory.glob("*.tar.gz")]
    if len(built) != 2:
        print(f"{directory} has not one wheel and one sdist: make test builds them", file=sys.stderr)
        return 1
    at = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    target = directory / f"{built[0].name.removesuffix('-py3-none-any.whl')}.cdx.json"
    target.write_text(document(built, locks.read(RUNTIME.read_text("utf-8")), at=at), "utf-8")
    print(
        f"{target.name}: {len(locks.read(RUNTIME.read_text('utf-8')))} packages, valid CycloneDX {SCHEMA.to_version()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
