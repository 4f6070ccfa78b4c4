"""`make fuzz` itself: what it prints, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.run import main


def test_a_run_ends_with_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each target how many inputs were tried; the status is 0 if nothing was found."""
    monkeypatch.chdir(tmp_path)
    assert main(["--seconds", "1", "--processes", "1", "--seed", "1", "reference", "page"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 targets, 1 s, 1 processes, seed 1"
    assert lines[-1] == "nothing was found"
    assert {line.split()[0] for line in lines if " examples " in line} >= {"reference", "page"}


def test_a_target_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that are."""
    with pytest.raises(SystemExit):
        main(["no_such"])
    assert "no such target: no_such; there are token_response, " in capsys.readouterr().err


def test_a_defect_is_printed_as_a_line_for_the_corpus(tmp_path: Path) -> None:
    """The status is then 1, and the other target is tried all the same."""
    broken = "import blnk_auth._sign_in.page\nblnk_auth._sign_in.page.escape = lambda text: text\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", "fuzz.run", "--seconds", "1", "--processes", "1", "reference", "page"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "--- page failed" in ended.stdout
    assert "Add this line to tests/fuzz/corpus/page.txt" in ended.stdout
    assert "('<script>', '</p><script>alert(1)</script>')" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "1 of 2 targets failed"
