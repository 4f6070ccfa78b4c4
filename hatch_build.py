"""What the metadata of a release has beside pyproject.toml: the README, and the project's URLs.

Used by hatchling, which builds the wheel and the sdist. It promises that links and URLs are made from one setting,
`public_address` in pyproject.toml. It never invents an address: while the setting is empty, links stay relative and
there are no URLs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(\]\()(?!https?://|#)([^)]+\))")


class CustomMetadataHook(MetadataHookInterface):
    """Completes the metadata; hatchling calls `update`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme` and, where the address is known, `urls`."""
        address = str(self.config["public_address"]).rstrip("/")
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": linked(text, address)}
        metadata["urls"] = urls(address)


def linked(text: str, address: str) -> str:
    """The README with its relative links made absolute, as an index that shows it needs them."""
    return _LINK.sub(rf"\1{address}/blob/main/\2", text) if address else text


def urls(address: str) -> dict[str, str]:
    """The URLs of the project, by the labels that indexes know."""
    if not address:
        return {}
    return {
        "Homepage": address,
        "Documentation": f"{address}/tree/main/docs",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
