"""The faults of the disks: while one lasts nothing can be written, and afterwards everything is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.stores import Files


@pytest.mark.parametrize("kind", ["away", "full", "read-only"])
def test_a_disk_refuses_writes_until_it_is_healed(tmp_path: Path, kind: str) -> None:
    """Also where no file system may be mounted: there every fault moves the directory away."""
    disk = Files(tmp_path / "disk")
    try:
        (disk.directory / "before").write_text("kept")
        assert disk.break_(kind) == (kind if disk.disk.is_mounted else "away")
        with pytest.raises(OSError, match="directory|space|Read-only"):
            (disk.directory / "during").write_bytes(bytes(100_000))
        disk.heal()
        (disk.directory / "after").write_bytes(bytes(100_000))
        assert (disk.directory / "before").read_text() == "kept"
    finally:
        disk.close()
