"""Makes every picture of docs/pictures/, and the comparison of the first page: `make pictures`."""

from __future__ import annotations

import sys
from importlib.metadata import version

from support import comparison
from support.pictures import PICTURES, crowd, dashboard, fifty_threads, pages, terminal


def main() -> None:
    """Run what they show, and write the files."""
    PICTURES.mkdir(exist_ok=True)
    for library, named in (("blnk_auth", "blnk_auth"), ("authlib", f"authlib {version('authlib')}")):
        svg = crowd.picture(library, named, fifty_threads.figures(library))
        (PICTURES / crowd.file_name(library)).write_text(svg, "utf-8")
    for command in (terminal.status, terminal.doctor, terminal.demo):
        (PICTURES / f"{command.__name__}.svg").write_text(command(), "utf-8")
    (PICTURES / "dashboard.svg").write_text(dashboard.picture(dashboard.run()), "utf-8")
    for name, png in pages.taken():
        (PICTURES / name).write_bytes(png)
    comparison.PAGE.write_text(comparison.with_table(comparison.PAGE.read_text("utf-8")), "utf-8")
    sys.stdout.write("docs/pictures/ is written: look at each\n")


if __name__ == "__main__":
    main()
