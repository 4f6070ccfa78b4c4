"""The log of the library on standard error: its warnings, and with `--verbose` all that it logs.

Used by every command with a client. It promises that a line of the log can never control the terminal. The library
promises that its log never has a secret.
"""

from __future__ import annotations

import logging

import click

from .terminal import printable

_NAME = "blnk_auth"
_logger: logging.Logger = logging.getLogger(f"{_NAME}.cli")


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        prefix = "blnk-auth: warning: " if record.levelno >= logging.WARNING else "  "
        click.echo(f"{prefix}{printable(record.getMessage().strip())}", err=True)


def show_log(*, verbose: bool) -> None:
    """Show the log until the command ends. Without `verbose`: its warnings only."""
    logger, handler = logging.getLogger(_NAME), _Lines()
    level = logger.level
    logger.addHandler(handler)
    if verbose:
        logger.setLevel(logging.DEBUG)
    else:
        handler.setLevel(logging.WARNING)

    def restore() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)

    click.get_current_context().call_on_close(restore)


def log_line(line: str) -> None:
    """A line of a command's own, shown with `--verbose`. It must not have a secret."""
    _logger.debug("%s", line)
