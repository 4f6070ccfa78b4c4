"""All rows of the canary: importing this module fills the table. Used by tests/secrets."""

from __future__ import annotations

from support.canary import (
    rows_arguments,
    rows_cli,
    rows_clients,
    rows_dpop,
    rows_migrations,
    rows_request_sign_in,
    rows_requests,
    rows_resources,
    rows_sandbox,
    rows_sign_in,
    rows_stores,
    rows_telemetry,
    rows_tokens,
)
from support.canary.table import ROWS, trials

MODULES = (
    *(rows_arguments, rows_cli, rows_clients, rows_requests, rows_sandbox, rows_sign_in, rows_stores),
    *(rows_tokens, rows_dpop, rows_migrations, rows_resources, rows_request_sign_in, rows_telemetry),
)
"""Each adds its rows when it is imported."""

__all__ = ["MODULES", "ROWS", "trials"]
