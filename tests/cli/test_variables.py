"""Misspelt environment variables: reported with the name that was meant, and nothing else is."""

from __future__ import annotations

import json

import pytest
from support.command_line import CommandLine

from blnk_auth.cli.variables import misspelt
from blnk_auth.config._settings import every_setting


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("BLNK_AUTH_CLIENTID", "BLNK_AUTH_CLIENT_ID"),
        ("BLNK_AUTH_SCOPES", "BLNK_AUTH_SCOPE"),
        ("BLNK_AUTH_PROVIDR", "BLNK_AUTH_PROVIDER"),
        ("BLNK_AUTH_CLIENT_SECRET_FILE", "BLNK_AUTH_CLIENT_SECRET"),
        ("BLNK_AUTH_CONFG", "BLNK_AUTH_CONFIG"),
    ],
)
def test_a_misspelt_variable_is_found(variable: str, meant: str) -> None:
    """By the similarity of its name, with the one that was probably meant."""
    assert list(misspelt([variable, "PATH"])) == [(variable, meant)]


@pytest.mark.parametrize("variable", ["BLNK_AUTH_STORE_KEY", "BLNK_AUTH_URL", "BLNK_AUTH_TEST_WHEEL", "CLIENT_IDS"])
def test_a_variable_of_another_program_is_not_reported(variable: str) -> None:
    """It resembles no setting, or has another prefix."""
    assert list(misspelt([variable])) == []


def test_no_setting_and_no_option_of_a_command_is_misspelt() -> None:
    """Each setting's own variable, and those of a command's options."""
    assert list(misspelt([setting.variable for setting in every_setting()])) == []
    assert list(misspelt(["BLNK_AUTH_CONFIG", "BLNK_AUTH_PROFILE"])) == []
    assert list(misspelt(["BLNK_AUTH_STORE_SCOPES"], besides=("STORE_",))) == []


def test_a_command_reports_it_and_runs(blnk_auth_cli: CommandLine) -> None:
    """One line on standard error, which shows no value; standard output and the status are those of the command."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    plain = blnk_auth_cli.run("status", BLNK_AUTH_CLIENT_SECRT="s3cr3t-s3cr3t")
    line = "the variable BLNK_AUTH_CLIENT_SECRT is not used"
    assert plain.stderr == f"blnk-auth: {line}; did you mean BLNK_AUTH_CLIENT_SECRET?\n"
    assert plain.exit_code == 0
    as_json = blnk_auth_cli.run("status", "--json", BLNK_AUTH_CLIENT_SECRT="s3cr3t-s3cr3t")
    assert json.loads(as_json.stderr)["warning"]["problem"] == line
    assert json.loads(as_json.stdout) is not None


def test_options_of_other_commands_are_not_reported(blnk_auth_cli: CommandLine) -> None:
    """`BLNK_AUTH_KEEPALIVE_HORIZON` is set for cron, and a user runs another command there."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    assert blnk_auth_cli.run("status", BLNK_AUTH_KEEPALIVE_HORIZON="7d", BLNK_AUTH_LOGIN_SUBJECTS="x").stderr == ""
