"""The wheel is reproducible: anyone who builds this source has the same bytes, at any place and time.

And a wheel, a lock or a bill of materials that was changed afterwards is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from supply_chain import licences, locks
from support.limits import PATIENCE
from support.prose import ROOT
from support.scripts import script

RELEASE = script("tools/release.py")
SOURCES = ["blnk_auth", "docs", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"]


def built(home: Path, *, umask: int, newest_first: bool, at: float, zone: str) -> Path:
    """The wheel of a copy of the source in `home`: its files made with that umask, in that order, at that time."""
    files = [
        path.relative_to(ROOT)
        for source in SOURCES
        for path in ([ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*")))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    before = os.umask(umask)
    try:
        for file in reversed(files) if newest_first else files:
            (home / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, home / file)
            os.utime(home / file, (at, at))
    finally:
        os.umask(before)
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    environment |= {"TZ": zone, "PYTHONHASHSEED": str(umask)}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "out")]
    done = subprocess.run(
        command, cwd=home, env=environment, umask=umask, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (home / "out").iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build of the wheel."""
    home = tmp_path_factory.mktemp("one")
    return built(home, umask=0o022, newest_first=False, at=1_000_000_000.0, zone="UTC")


def test_the_wheel_is_reproducible(wheel: Path, tmp_path: Path) -> None:
    """Another directory, umask, order and age of the files, and time zone: the same hash, also as the one in dist/."""
    home = tmp_path / "elsewhere" / "é"
    other = built(home, umask=0o077, newest_first=True, at=1_700_000_000.0, zone="Pacific/Auckland")
    wheels = [wheel, other]
    if os.environ.get("BLNK_AUTH_TEST_WHEEL") == "1":
        wheels += (ROOT / "dist").glob("*.whl")
    assert {each.name: digest(each) for each in wheels} == {wheel.name: digest(wheel)}
    assert len({digest(each) for each in wheels}) == 1


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("tampered", ["neither", "the wheel", "the lock"])
def test_pip_refuses_what_the_lock_does_not_have(tampered: str, wheel: Path, tmp_path: Path) -> None:
    """One byte more in the wheel, or one other digit in the lock."""
    shutil.copy(wheel, tmp_path)
    expected = digest(wheel)
    if tampered == "the wheel":
        with (tmp_path / wheel.name).open("ab") as file:
            file.write(b"\0")
    elif tampered == "the lock":
        expected = ("0" if expected[0] != "0" else "1") + expected[1:]
    (tmp_path / "lock.txt").write_text(f"blnk-auth=={wheel.name.split('-')[1]} --hash=sha256:{expected}\n")
    options = "--isolated --no-index --no-deps --require-hashes --find-links . --dry-run --ignore-installed -r lock.txt"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode == 0) is (tampered == "neither"), done.stderr
    assert ("DO NOT MATCH THE HASHES" in done.stderr) is (tampered != "neither")


def test_a_licence_is_read_in_the_wheel_that_the_lock_has(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make licences` asks the wheel of a package that is not installed, and believes no other file."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    locked = locks.Locked("blnk-auth", wheel.name.split("-")[1], hashes=[digest(wheel)])
    assert licences.downloaded(locked) == "MIT"
    locked.hashes = ["0" * 64]
    assert licences.downloaded(locked) is None


LOCK = f"""\
one==1.0 \\
    --hash=sha256:{"0" * 64} \\
    --hash=sha256:{"1" * 64}
    # via blnk-auth (pyproject.toml)
two[x]==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:{"2" * 64}
    # via
    #   -c requirements/dev.txt
    #   one
"""


def test_a_lock_is_read() -> None:
    """Versions, markers, hashes, and what wants each package."""
    one, two = locks.read(LOCK)
    assert (one.name, one.version, one.marker, len(one.hashes)) == ("one", "1.0", None, 2)
    assert one.wanted_by == ["blnk-auth (pyproject.toml)"]
    assert (two.name, two.marker, two.wanted_by) == ("two", "sys_platform == 'win32'", ["one"])


@pytest.mark.parametrize("name", [path.name for path in locks.locks()])
def test_each_lock_has_hashes_and_no_address(name: str) -> None:
    """Each of its lines is one that `make lock` writes."""
    assert len(locks.read((locks.REQUIREMENTS / name).read_text("utf-8"))) > 20


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("three==3.0", "not a line of a lock"),
        ("three>=3.0 \\", "not a line of a lock"),
        ("three==3.0 \\\nfour==4.0 \\\n    --hash=sha256:" + "4" * 64, "three: no hash"),
        ("--index-url https://packages.example", "an address"),
        ("three @ file:///three.whl", "an address"),
        ("    --hash=md5:" + "3" * 32, "not a line of a lock"),
        ("-r other.txt", "not a line of a lock"),
    ],
)
def test_a_lock_that_was_changed_by_hand_is_an_error(line: str, complaint: str) -> None:
    """A package without a hash, from another place, or in any version."""
    with pytest.raises(ValueError, match=complaint):
        locks.read(f"{LOCK}{line}\n")


@pytest.mark.parametrize("change", ["none", "bytes", "added", "removed", "no bill"])
def test_a_release_that_its_bill_does_not_describe_is_refused(change: str, tmp_path: Path) -> None:
    """A file that was changed, added or removed after the bill of materials was written."""
    for name in ("blnk_auth-1-py3-none-any.whl", "blnk_auth-1.tar.gz"):
        (tmp_path / name).write_bytes(name.encode())
    references = [
        {"type": "distribution", "url": path.name, "hashes": [{"alg": "SHA-256", "content": digest(path)}]}
        for path in tmp_path.iterdir()
    ]
    bill = tmp_path / "blnk_auth-1.cdx.json"
    bill.write_text(json.dumps({"metadata": {"component": {"externalReferences": references}}}))
    if change == "bytes":
        (tmp_path / "blnk_auth-1.tar.gz").write_bytes(b"other")
    elif change == "added":
        (tmp_path / "extra.whl").write_bytes(b"")
    elif change == "removed":
        (tmp_path / "blnk_auth-1.tar.gz").unlink()
    elif change == "no bill":
        bill.unlink()
    expected = {"none": [], "bytes": ["blnk_auth-1.tar.gz"], "added": ["extra.whl"], "removed": ["blnk_auth-1.tar.gz"]}
    found = [each.split()[0] for each in RELEASE.differences(tmp_path)]
    assert found == expected.get(change, [f"{tmp_path.name}/"])
