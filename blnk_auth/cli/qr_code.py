"""A QR code in a terminal: the person points a phone at the address of a device code. Needs `blnk-auth[cli]`."""

from __future__ import annotations

import io

from ..errors import ConfigurationError, import_failure


def terminal_qr_code(text: str) -> str:
    """Lines of block characters that show `text`. For a terminal that speaks UTF-8; best light on dark."""
    try:
        import segno
    except ImportError as error:
        raise ConfigurationError(str(import_failure("a QR code", "segno", "cli", error))) from None
    screen = io.StringIO()
    # The lowest error correction: what a screen shows is not dirty, and a smaller code fits more terminals.
    segno.make_qr(text, error="l").terminal(screen, compact=True)
    return screen.getvalue()
