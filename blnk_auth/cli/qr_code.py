"""A QR code in a terminal, so that a phone can open the address of a device code. Needs `blnk-auth[cli]`.

Used by `login --device`. It promises a code that a terminal can show, or None. It never opens the address.
"""

from __future__ import annotations

import io

from ..errors._extras import needs_extra

_LONGEST = 300
"""Characters. The code of a longer text is wider than terminals are, and one of about 3,000 does not exist."""


def terminal_qr_code(text: str) -> str | None:
    """Lines of block characters that show `text`, for a terminal with UTF-8; None if it is too long for a terminal.

    Raises `ConfigurationError` where segno is not installed.
    """
    if len(text) > _LONGEST:
        return None
    with needs_extra("cli", "segno", needed_by="a QR code"):
        import segno
    drawn = io.StringIO()
    # The lowest error correction: a screen is not dirty, and a smaller code fits more terminals.
    segno.make_qr(text, error="l").terminal(drawn, compact=True)
    return drawn.getvalue()
