"""The pictures of docs/pictures/, and how each is made: `make pictures` makes all of them again.

* `fifty_threads`: the trial that a picture of the first page shows. `crowd`: how it is drawn.
* `dashboard`: the dashboard for Grafana, from the metrics of a run.
* `terminal`: `blnk-auth` on a terminal. `pages`: pages in a browser.
"""

from __future__ import annotations

from pathlib import Path

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"

PORT = 8400
"""The sandbox's usual port, which the pages name."""
