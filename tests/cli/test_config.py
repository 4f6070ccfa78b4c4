from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from support.canary.leaks import everything_in, leaks
from support.command_line import SECRET, CommandLine
from support.errors import raises

from blnk_auth import ConfigurationError, OAuthClient
from blnk_auth._protocol.client_authentication import METHODS
from blnk_auth.config import config_path, load_profile, profile_names
from blnk_auth.config._provider import MAKERS
from blnk_auth.config._settings import COMMON, PROVIDERS
from blnk_auth.stores._memory import MemoryStore

GOOD: dict[str, dict[str, Any]] = {
    "blnk_cloud": {"client_secret": "s"},
    "blink": {
        "base_url": "https://blink.test/x",
        "target_id": "IIDX99999",
        "user_agent": "Acme 1",
        "username": "u",
        "client_auth": "none",
    },
    "flinks": {"host": "ob.flinks.test", "client_secret": "s"},
    "custom": {
        "name": "acme",
        "token_endpoint": "https://as.test/token",
        "api_origins": ["https://api.test"],
        "client_secret": "s",
    },
}

BASE = '[profiles.default]\nprovider = "blnk_cloud"\nclient_id = "id"\n'


def load(tmp_path: Path, text: str, name: str = "default", mode: int = 0o600, **environment: str) -> Any:
    file = tmp_path / "config.toml"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return load_profile(name, file, environment=environment)


@pytest.mark.parametrize("provider", GOOD)
def test_each_provider_becomes_a_client(provider: str, tmp_path: Path) -> None:
    """A profile with what its provider requires makes a client of that provider."""
    overrides = {"provider": provider, "client_id": "id", **GOOD[provider]}
    profile = load_profile("default", tmp_path / "none.toml", overrides=overrides)
    client = profile.make(OAuthClient, store=MemoryStore())
    assert client.provider.name in (provider, "acme")


def test_every_provider_of_the_tables_can_be_made() -> None:
    """The tables of settings and the makers of providers know the same providers."""
    assert PROVIDERS.keys() == MAKERS.keys()


def test_every_client_authentication_is_a_choice() -> None:
    """The configuration offers exactly the methods that the library knows."""
    assert next(each for each in COMMON if each.name == "client_auth").choices == METHODS


def test_what_the_client_refuses_is_reported_with_file_and_profile(tmp_path: Path) -> None:
    """What the client itself refuses is reported with the file and the profile that it comes from."""
    profile = load(tmp_path, f'{BASE}client_secret = "s"\nbase_url = "http://api.test"')
    with raises(ConfigurationError, parameter="base_url", shows=(str(tmp_path / "config.toml"), "'default'")):
        profile.make(OAuthClient, store=MemoryStore())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('client_idd = "x"', "'client_id'"),
        ('host = "x"', "'flinks'"),
        ("redirect_uri = 7", "a number"),
        ('api_origins = "https://a.test"', "a string"),
        ("api_origins = [1]", "a list"),
        ("scope = true", "true or false"),
        ('client_auth = "client_secret_bsic"', "'client_secret_basic'"),
        ('scope = "${NOT_SET}"', "NOT_SET"),
        ('scope = "${NOT SET}"', "${"),
        ('scope = "${NOT_CLOSED"', "${"),
        ('client_secret = "keyring:nothing"', "keyring:service/name"),
    ],
)
def test_a_wrong_key_is_named_with_file_and_profile(tmp_path: Path, text: str, shown: str) -> None:
    """A typo, a wrong type or a missing variable is reported with file, profile and key, and what is right instead."""
    where = (str(tmp_path / "config.toml"), "'default'")
    with raises(ConfigurationError, parameter=text.partition(" ")[0], shows=(*where, shown)):
        load(tmp_path, BASE + text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[profile.default]\n", "'profiles'"),
        ("profiles = 1\n", "[profiles.default]"),
        ("[profiles]\ndefault = 1\n", "[profiles.default]"),
        ("[profiles.default\n", "line 1"),
        ("[profiles.default]\n", "blnk_cloud, blink"),
        ('[profiles.default]\nprovider = "blnk-cloud"\n', "'blnk_cloud'"),
        ('[profiles.default]\nprovider = "blnk_cloud"\n', "client_id"),
        ('[profiles.default]\nprovder = "flinks"\nhost = "h"\n', "'provider'"),
        ('[profiles.acme]\nprovider = "blnk_cloud"\n', "acme"),
        ("[profiles.a]\n[profiles.defalt]\n", "'defalt'"),
        ("", "blnk-auth init"),
    ],
)
def test_a_file_that_is_not_valid_is_explained(tmp_path: Path, text: str, shown: str) -> None:
    """A file with another shape, without the profile, or with a broken line is reported with what to change."""
    with raises(ConfigurationError, shows=(str(tmp_path / "config.toml"), shown)):
        load(tmp_path, text)


def test_a_missing_file_names_the_command_that_writes_it(tmp_path: Path) -> None:
    """Without a file, the error names where it was looked for and that `init` writes it."""
    with raises(ConfigurationError, parameter="path", shows=(str(tmp_path / "none.toml"), "blnk-auth init")):
        load_profile("default", tmp_path / "none.toml")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is an error that names it."""
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with raises(ConfigurationError, shows=(str(tmp_path / "config.toml"), "UTF-8")):
        load_profile("default", tmp_path / "config.toml")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "[profiles.default]\nprovider = " + "9" * 5000,
        "[profiles.default]\nprovider = '\0'",
    ],
    ids=["deep", "giant", "NUL"],
)
def test_a_hostile_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file that Python's TOML reader cannot read for any reason is an error that names it, and how to go on."""
    with raises(ConfigurationError, shows=(str(tmp_path / "config.toml"), "blnk-auth init")):
        load(tmp_path, text)


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-that-name/config.toml", 5])
def test_a_path_that_is_not_valid_is_refused(path: Any) -> None:
    """What cannot be a path, or is below an unknown home directory, is an error about `path`."""
    with pytest.raises(ConfigurationError) as caught:
        OAuthClient.from_config("default", path)
    assert caught.value.parameter == "path"


def test_a_profile_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """The name of a profile is text."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, BASE, name=5)  # type: ignore[arg-type]
    assert caught.value.parameter == "profile"


def test_a_directory_cannot_be_the_file(tmp_path: Path) -> None:
    """A directory in the place of the file is an error that names it."""
    (tmp_path / "config.toml").mkdir()
    with raises(ConfigurationError, shows=(str(tmp_path / "config.toml"), "Is a directory")):
        load_profile("default", tmp_path / "config.toml")


def test_a_file_below_an_unknown_home_is_reported_by_key(tmp_path: Path) -> None:
    """`~nobody/` in a setting is an error about that setting."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f'{BASE}cert = "~nobody-of-that-name/cert.pem"')
    assert caught.value.parameter == "cert"


NO_HOME = r"""
import os, sys
import platformdirs
def no_home(*names, **options):
    raise RuntimeError("could not determine the home directory")
platformdirs.user_config_path = platformdirs.user_data_path = platformdirs.user_state_path = no_home
from blnk_auth.cli import main
main()
"""


@pytest.mark.real
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("token",), "this user has no home directory, so there is no configuration file; name one with --config FILE"),
        (("token", "--provider", "blnk_cloud", "--client-id", "id"), "is missing, and this user has no home directory"),
        (("doctor", "--provider", "blnk_cloud", "--client-id", "id"), "set it to a URL such as sqlite:////var/lib"),
        (("init",), "this user has no home directory, so there is no place for a configuration file"),
        (("demo",), "this user has no home directory; name a directory with --state-dir"),
    ],
)
def test_without_a_home_directory_the_command_line_names_what_to_set(
    offline: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    """A uid that nobody knows, as containers have it: one line with what to set, and status 2."""
    environment = {**offline.environment, "BLNK_AUTH_CLIENT_SECRET": "s", "BLNK_AUTH_SUBJECT": "a"}
    del environment["BLNK_AUTH_CONFIG"]
    finished = subprocess.run(
        [sys.executable, "-c", NO_HOME, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert message in " ".join((finished.stdout + finished.stderr).split())
    assert "Traceback" not in finished.stderr


@pytest.mark.real
def test_without_a_home_directory_settings_can_name_everything(blnk_auth_cli: CommandLine) -> None:
    """With the client and the store in variables, neither a home directory nor a file is needed."""
    assert blnk_auth_cli.sandbox is not None
    environment = {
        **blnk_auth_cli.environment,
        "BLNK_AUTH_PROVIDER": "blnk_cloud",
        "BLNK_AUTH_BASE_URL": blnk_auth_cli.sandbox.origin,
        "BLNK_AUTH_CLIENT_ID": blnk_auth_cli.sandbox.client_id,
        "BLNK_AUTH_CLIENT_SECRET": SECRET,
        "BLNK_AUTH_STORE": "memory:",
    }
    del environment["BLNK_AUTH_CONFIG"]
    finished = subprocess.run(
        [sys.executable, "-c", NO_HOME, "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_closed_home_directory_of_another_user_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where options name the provider, and nobody named a file, one that may not be read counts as none."""
    monkeypatch.delenv("BLNK_AUTH_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    (tmp_path / "blnk-auth").mkdir()
    (tmp_path / "blnk-auth" / "config.toml").write_text("this is not TOML")
    profile = load_profile(overrides={"provider": "blnk_cloud", "client_id": "id"})
    assert profile.settings["client_id"] == "id"


def test_what_a_missing_profile_lacks_is_blamed_on_the_options(tmp_path: Path) -> None:
    """A profile that is not in the file takes no blame for a setting that is missing."""
    load(tmp_path, BASE)
    with raises(ConfigurationError, parameter="host", shows=("--host", "BLNK_AUTH_HOST")):
        load_profile("other", tmp_path / "config.toml", overrides={"provider": "flinks", "client_id": "id"})


def test_a_profile_of_another_provider_is_not_used(tmp_path: Path) -> None:
    """Variables that describe a client of another provider, as `blnk-auth sandbox --env` prints them, describe all."""
    load(tmp_path, BASE + 'base_url = "https://blnk.test"\nscope = "data:read"')
    given = {"provider": "discover", "issuer": "https://as.test", "client_id": "other"}
    profile = load_profile("default", tmp_path / "config.toml", overrides=given)
    assert profile.settings == given
    same = load_profile("default", tmp_path / "config.toml", overrides={"provider": "blnk_cloud", "client_id": "other"})
    assert (same.settings["base_url"], same.scope) == ("https://blnk.test", "data:read")


def test_references_are_replaced_anywhere_and_can_be_escaped(tmp_path: Path) -> None:
    """`${NAME}` is replaced inside strings, lists and tables, and `$${` stands for itself."""
    text = BASE + 'scope = "a:${X} $${X}"\napi_origins = ["https://${HOST}"]\nclient_secret = "${X}"'
    profile = load(tmp_path, text, X="1", HOST="api.test")
    assert profile.scope == "a:1 ${X}"
    assert profile.settings["api_origins"] == ("https://api.test",)
    assert profile.settings["client_secret"] == "1"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ('client_secret = "s3cr3t"', True),
        ('client_secret = "${X}"', False),
        ('client_secret = "s3cr3t${X}"', True),
        ('client_secret = "keyring:acme/secret"', False),
        ('cert_password = "s3cr3t"', True),
        ('store = "redis://user:s3cr3t@host/0"', True),
        ('store = "redis://user:${X}@host/0"', False),
        ('proxy = "http://user:s3cr3t@proxy.test:1"', True),
        ('scope = "s3cr3t"', False),
    ],
)
def test_a_secret_in_a_file_that_others_may_read_is_refused(tmp_path: Path, text: str, *, is_refused: bool) -> None:
    """A written-out secret needs mode 0600; a reference does not, and the error does not show the secret."""
    load(tmp_path, BASE + text, X="1")
    if not is_refused:
        load(tmp_path, BASE + text, mode=0o644, X="1")
        return
    with raises(ConfigurationError, parameter=text.partition(" ")[0], shows="chmod 600") as caught:
        load(tmp_path, BASE + text, mode=0o640, X="1")
    assert leaks(everything_in(caught.value), ["s3cr3t"]) == []


def test_a_profile_hides_its_secrets(tmp_path: Path) -> None:
    """The repr of a profile and of its client shows no secret."""
    profile = load(tmp_path, f'{BASE}client_secret = "s3cr3t"')
    client = profile.make(OAuthClient, store=MemoryStore())
    assert leaks([repr(profile), repr(client), repr(profile.settings["client_secret"])], ["s3cr3t"]) == []


def test_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    """A relative file name means the directory of the configuration file; one that is missing is reported by key."""
    profile = load(tmp_path, f'{BASE}private_key = "keys/client.pem"\nclient_auth = "private_key_jwt"')
    assert profile.settings["private_key"] == str(tmp_path / "keys" / "client.pem")
    with raises(
        ConfigurationError, parameter="private_key", shows=(str(tmp_path / "keys" / "client.pem"), "'default'")
    ):
        profile.make(OAuthClient, store=MemoryStore())


def test_tokens_are_bound_to_a_key_where_the_profile_has_dpop(tmp_path: Path) -> None:
    """`dpop = true` makes a key for each grant; `dpop_key` is a file with the key for all."""

    def client(settings: str) -> OAuthClient:
        made: OAuthClient = load(tmp_path, f'{BASE}client_secret = "s3cr3t"\n{settings}').make(
            OAuthClient, store=MemoryStore()
        )
        return made

    assert not client("dpop = false")._state.proofs.are_wanted
    first, second = (client("dpop = true")._state.proofs.new_key() for _ in range(2))
    assert first is not None
    assert first != second
    assert not first.is_own
    key = ECKey.generate_key("P-256", auto_kid=False)
    (tmp_path / "dpop.pem").write_bytes(key.as_pem(private=True))
    own = client('dpop_key = "dpop.pem"')._state.proofs.new_key()
    assert own is not None
    assert (own.is_own, own.thumbprint) == (True, key.thumbprint())
    with raises(ConfigurationError, parameter="dpop_key", shows=(str(tmp_path / "none.pem"), "'default'")):
        client('dpop_key = "none.pem"')


def test_a_wrong_store_url_is_reported_by_key(tmp_path: Path) -> None:
    """A store URL of an unknown kind is reported with file, profile and key."""
    with raises(ConfigurationError, parameter="store", shows=(str(tmp_path / "config.toml"), "'default'", "sqlite:")):
        load(tmp_path, f'{BASE}store = "floppy:a"').open_store()


def test_the_subject_is_sent_where_blink_wants_it(tmp_path: Path) -> None:
    """In bLink's username and target_id, {subject} stands for whose tokens they are."""
    overrides = {**GOOD["blink"], "provider": "blink", "client_id": "id", "target_id": "II-{subject}"}
    profile = load_profile("default", tmp_path / "none.toml", overrides=overrides)
    assert profile.provider().target_of("DX1") == "II-DX1"


def test_an_option_that_is_wrong_is_named_as_option(tmp_path: Path) -> None:
    """What comes from an option or variable is blamed on it and not on the file."""
    with raises(ConfigurationError, parameter="host", shows=("--host", "BLNK_AUTH_HOST", "'blnk_cloud'")):
        load_profile("x", tmp_path / "none", overrides={"provider": "blnk_cloud", "client_id": "id", "host": "x"})


def test_what_an_option_leaves_wrong_is_blamed_on_the_file(tmp_path: Path) -> None:
    """An option that needs something further does not take the blame for what the file lacks."""
    load(tmp_path, BASE)
    profile = load_profile("default", tmp_path / "config.toml", overrides={"client_auth": "private_key_jwt"})
    with raises(ConfigurationError, parameter="private_key", shows=(str(tmp_path / "config.toml"), "'default'")):
        profile.make(OAuthClient)


@pytest.mark.parametrize(
    ("option", "value", "parameter", "shown"),
    [
        ("base_url", "http://api.test", "base_url", ("--base-url", "BLNK_AUTH_BASE_URL")),
        ("verify", "none.pem", "verify", ("--verify", "BLNK_AUTH_VERIFY", "none.pem")),
        ("client_auth", "private_key_jwt", "private_key", ("--private-key", "BLNK_AUTH_PRIVATE_KEY")),
        ("client_secret", None, "client_secret", "BLNK_AUTH_CLIENT_SECRET"),
    ],
)
def test_what_the_client_refuses_is_blamed_on_the_option(
    tmp_path: Path, option: str, value: str | None, parameter: str, shown: str | tuple[str, ...]
) -> None:
    """What only the client finds out is blamed on the option too, and a file that is not there on nobody."""
    usual = {"provider": "blnk_cloud", "client_id": "id", "client_secret": "s", option: value}
    given = {name: text for name, text in usual.items() if text is not None}
    profile = load_profile("x", tmp_path / "none", overrides=given)
    with raises(ConfigurationError, parameter=parameter, shows=shown):
        profile.make(OAuthClient, store=MemoryStore())


def test_profiles_are_listed(tmp_path: Path) -> None:
    """The profiles of a file are listed in order; a file that does not exist has none."""
    assert profile_names(tmp_path / "none.toml") == []
    (tmp_path / "config.toml").write_text("[profiles.b]\n[profiles.a]\n")
    assert profile_names(tmp_path / "config.toml") == ["a", "b"]


def test_the_path_given_has_precedence_over_the_usual_one(tmp_path: Path) -> None:
    """A path that is given is used as it is; otherwise the file is this user's own."""
    assert config_path(tmp_path / "x.toml") == tmp_path / "x.toml"
    assert config_path().name == "config.toml"


@pytest.mark.real
def test_code_gets_the_same_client_as_the_command_line(blnk_auth_cli: CommandLine) -> None:
    """A token that code stored through `from_config` is the one that the command line prints, and the other way."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    assert blnk_auth_cli.run("token").stdout == client.for_subject("alice").token().access_token + "\n"
