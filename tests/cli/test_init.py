from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.command_line import CommandLine

from blnk_auth.config import load_profile
from blnk_auth.config._settings import COMMON, PROVIDERS, every_setting

OPTIONS = ("--provider", "blnk_cloud", "--client-id", "id")


def written(command_line: CommandLine, profile: str = "default") -> dict[str, object]:
    document = tomllib.loads(command_line.file.read_text("utf-8"))
    return dict(document["profiles"][profile])


def test_it_asks_and_writes_a_file_for_this_user_only(offline: CommandLine) -> None:
    """The answers become a profile; the secret is not shown, and the file has mode 0600 in a directory of its own."""
    offline.variables["BLNK_AUTH_CONFIG"] = str(offline.directory / "new" / "config.toml")
    result = offline.run("init", input="\nhttp://127.0.0.1:1\nid\ns3cr3t\n\n\nbob\n")
    assert result.exit_code == 0, result.output
    assert "s3cr3t" not in result.output
    file = offline.directory / "new" / "config.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert load_profile("default", file).settings == {
        "provider": "blnk_cloud",
        "base_url": "http://127.0.0.1:1",
        "client_id": "id",
        "client_secret": "s3cr3t",
        "redirect_uri": "http://127.0.0.1:8765/callback",
        "subject": "bob",
    }


def test_a_wrong_answer_is_asked_again_and_the_others_are_kept(offline: CommandLine) -> None:
    """An answer that cannot work is reported with the reason; then Enter keeps the others, the secret among them."""
    first, second = "\nhttp://api.test\nid\ns3cr3t\n\n\nbob\n", "\nhttp://127.0.0.1:1\n\n\n\n\n\n"
    result = offline.run("init", input=first + second)
    assert result.exit_code == 0, result.output
    assert "That cannot work: --base-url or BLNK_AUTH_BASE_URL: base_url uses http" in result.stderr
    assert "s3cr3t" not in result.output
    expected = {"base_url": "http://127.0.0.1:1", "client_id": "id", "client_secret": "s3cr3t", "subject": "bob"}
    assert expected.items() <= written(offline).items()


def test_options_do_without_questions(offline: CommandLine) -> None:
    """With --non-interactive the options are written as they are, and a secret only as a reference."""
    result = offline.run(
        *("init", "--non-interactive", *OPTIONS, "--client-secret-from", "${X}", "--api-origins", "https://a.test"),
        *("--profile", "prod.eu"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("Next: blnk-auth login --profile prod.eu --subject NAME\n")
    assert written(offline, "prod.eu") == {
        "provider": "blnk_cloud",
        "client_id": "id",
        "client_secret": "${X}",
        "api_origins": ["https://a.test"],
    }


def test_a_secret_in_the_environment_stays_there(offline: CommandLine) -> None:
    """A secret that is given as a variable is written as a reference to that variable."""
    result = offline.run("init", "--non-interactive", *OPTIONS, BLNK_AUTH_CLIENT_SECRET="s3cr3t")
    assert result.exit_code == 0, result.output
    assert written(offline)["client_secret"] == "${BLNK_AUTH_CLIENT_SECRET}"


def test_other_profiles_and_comments_stay(offline: CommandLine) -> None:
    """A profile is added to a file without touching its other content, and its mode becomes 0600."""
    offline.write("# mine\n[profiles.a]\nprovider = 'flinks' # keep\n", mode=0o644)
    assert offline.run("init", "--non-interactive", *OPTIONS, "--client-secret-from", "${X}").exit_code == 0
    text = offline.file.read_text("utf-8")
    assert text.startswith("# mine\n[profiles.a]\nprovider = 'flinks' # keep\n")
    assert written(offline)["client_id"] == "id"
    assert offline.file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in offline.directory.iterdir()] == ["config.toml"]


def test_a_profile_is_replaced_only_on_demand(offline: CommandLine) -> None:
    """A profile that exists is left alone without --force, and asked about in a conversation."""
    offline.write("[profiles.default]\nprovider = 'flinks'\n")
    arguments = ("--non-interactive", *OPTIONS, "--client-secret-from", "${X}")
    refused = offline.run("init", *arguments)
    assert refused.exit_code == 2
    assert "has a profile 'default' already; --force replaces it" in refused.stderr
    kept = offline.run("init", input="n\n")
    assert kept.exit_code == 2
    # Before click 8.4, its test runner does not end the line of the question.
    assert "blnk-auth: nothing was written" in kept.stderr.splitlines()[-1]
    assert written(offline) == {"provider": "flinks"}
    assert offline.run("init", "--force", *arguments).exit_code == 0
    assert written(offline)["provider"] == "blnk_cloud"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--provider is missing"),
        (("--provider", "flinks", "--client-id", "id"), "--host (or BLNK_AUTH_HOST) is missing"),
        (("--provider", "blnk_cloud"), "--client-id (or BLNK_AUTH_CLIENT_ID) is missing"),
        (("--provider", "nobody"), "'nobody' is not one of"),
        (
            (*OPTIONS, "--base-url", "http://api.test", "--client-auth", "none"),
            "--base-url or BLNK_AUTH_BASE_URL: base_url uses",
        ),
        ((*OPTIONS, "--client-secret-from", "s3cr3t"), "never the secret"),
        ((*OPTIONS, "--host", "x", "--client-auth", "none"), "--host or BLNK_AUTH_HOST does not belong"),
        ((*OPTIONS, "--profile", " "), "--profile must be a name"),
    ],
)
def test_what_cannot_work_is_not_written(offline: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    """A missing or wrong option ends with 2, names the option, and writes no file."""
    result = offline.run("init", "--non-interactive", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "s3cr3t" not in result.output
    assert not offline.file.exists()


def test_an_end_of_input_half_way_writes_nothing(offline: CommandLine) -> None:
    """Ctrl-C or an end of the input in the middle of the questions leaves no file, and is reported in one line."""
    result = offline.run("init", input="blnk_cloud\n")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "blnk-auth: interrupted; what was stored is still stored"
    assert not offline.file.exists()


def test_a_file_that_cannot_be_written_is_an_error_in_one_line(offline: CommandLine, tmp_path: Path) -> None:
    """A directory that cannot be made ends with 2 and the reason."""
    (tmp_path / "file").write_text("")
    result = offline.run("init", "--non-interactive", *OPTIONS, "--config", str(tmp_path / "file" / "c.toml"))
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_no_secret_is_an_option(offline: CommandLine) -> None:
    """The help of init offers no option that takes a secret."""
    shown = offline.run("init", "--help").output
    assert "--client-id " in shown
    assert "--client-secret " not in shown
    assert "--cert-password" not in shown
    assert "--token-headers" not in shown


def test_the_help_has_a_section_for_each_provider(offline: CommandLine) -> None:
    """A reader finds the settings of a provider together, each of every provider exactly where it belongs."""
    head, *sections = re.split(r"\n\nSettings ", offline.run("init", "--help").output)
    found = {section.partition(":")[0]: re.findall(r"^  (--[a-z-]+)", section, re.MULTILINE) for section in sections}
    expected = {"of every client": COMMON, **{f"with --provider {name}": each for name, each in PROVIDERS.items()}}
    assert found == {
        title: [each.option for each in settings if not each.is_secret] for title, settings in expected.items()
    }
    assert re.findall(r"^  (?:-., )?(--[a-z-]+)", head, re.MULTILINE) == [
        *("--profile", "--config", "--provider", "--client-secret-from", "--non-interactive", "--force", "--help")
    ]
    assert re.search(r"--target-id TEXT +The bank[^-]*\[required\]", sections[2])


@pytest.mark.parametrize(
    ("provider", "asked_before", "proposed"),
    [
        ("blnk_cloud", "\n\nid\nsecret\n", "http://127.0.0.1:8765/callback"),
        ("custom", "n\nhttps://as.test/token\nhttps://api.test\n\nid\nsecret\n", "http://127.0.0.1/callback"),
    ],
)
def test_the_proposed_redirect_has_a_port_only_where_the_server_may_need_one(
    offline: CommandLine, provider: str, asked_before: str, proposed: str
) -> None:
    """RFC 8252 has servers accept any port; a provider that does not specify it gets the one documented port."""
    result = offline.run("init", input=f"{provider}\n{asked_before}")
    assert f"redirect_uri [{proposed}]:" in result.stderr


def test_the_file_names_a_page_with_every_key(offline: CommandLine) -> None:
    """Its head is all that someone sees who opens the file, so the page that it names exists and has the keys."""
    assert offline.run("init", "--non-interactive", *OPTIONS, "--client-secret-from", "${X}").exit_code == 0
    (name,) = re.findall(r"docs/\S+\.md(?= lists every key)", offline.file.read_text("utf-8"))
    page = (Path(__file__).parents[2] / name).read_text("utf-8")
    assert [each.name for each in every_setting() if f"`{each.name}`" not in page] == []
