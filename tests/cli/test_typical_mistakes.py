"""What users type and write by mistake: one line that names it, and the right remedy, for each.

The same for mistakes in code is in tests/unit/test_typical_mistakes.py.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from support.canary.leaks import leaks
from support.command_line import CommandLine

PROFILE = """\
[profiles.default]
provider = "blnk_cloud"
base_url = "http://127.0.0.1:9"
client_id = "acme"
client_secret = "${SANDBOX_SECRET}"
redirect_uri = "http://127.0.0.1:8765/callback"
subject = "me"
"""


class Mistake(NamedTuple):
    """What is typed, what is written in another way in the file, and what the line must have."""

    arguments: str
    problem: str
    remedy: str
    right: str = ""
    wrong: str = ""


MISTAKES = {
    # what is typed
    "a command": Mistake("lgoin", "No such command 'lgoin'", "did you mean 'login'?"),
    "a command of store": Mistake("store lst", "No such command 'lst'", "did you mean 'list'?"),
    # The rest of this sentence is another one in each version of click.
    "an option": Mistake("login --subjct x", "--subjct", "--subject"),
    "an option with an underscore": Mistake("token --base_url x", "--base_url", "--base-url"),
    "a secret as an option": Mistake(
        "login --client-secret s3cr3t-s3cr3t",
        "No such option '--client-secret': other users of this machine can read a command line",
        "set the variable BLNK_AUTH_CLIENT_SECRET, or client_secret in the profile",
    ),
    "a profile": Mistake("token --profile defualt", "has no profile 'defualt'", "did you mean 'default'?"),
    "a provider": Mistake("token --provider blnkcloud", "'blnkcloud' is not known", "did you mean 'blnk_cloud'?"),
    "the URL of a store": Mistake(
        "token --store sqllite:///t.db", "--store or BLNK_AUTH_STORE cannot be used: 'sqllite'", "did you mean sqlite:?"
    ),
    "a store as a file": Mistake(
        "token --store tokens.db", "--store or BLNK_AUTH_STORE cannot be used", "a file is written sqlite:///tokens.db"
    ),
    "a store of libpq's name": Mistake(
        "token --store postgres://u:s3cr3t-s3cr3t@h/d", "'postgres' does not name a kind", "did you mean postgresql:?"
    ),
    "a store with two slashes": Mistake(
        "store list sqlite://t.db", "this sqlite URL has a host", "write it as sqlite:///path, with three slashes"
    ),
    "a duration without a unit": Mistake(
        "keepalive --horizon 7", "'7' has no unit", "write 7d for days, 7s for seconds"
    ),
    "a duration with a word": Mistake(
        "login --timeout 5min", "'5min' is not a duration", "write it as 90s, 30m, 12h or 7d"
    ),
    "a port as a name": Mistake("login --port http", "'http' is not a whole number", "see: blnk-auth login --help"),
    "a pair without its value": Mistake("login --parameter prompt", "--parameter", "write it as NAME=VALUE"),
    "a path for a URL": Mistake("request /accounts", "URL: it is not a whole address", "write it with its scheme"),
    "the URL of another API": Mistake(
        "request https://api.evil.test/x",
        "https://api.evil.test may not receive the token",
        "the token is for http://127",
    ),
    "a shell that is not known": Mistake("completion zhs", "'zhs' is not known", "did you mean 'zsh'?"),
    "--device where there is none": Mistake(
        "login --device", "--device: Blnk Cloud has no device_authorization_endpoint", "leave it out, or use --paste"
    ),
    "a certificate that is not there": Mistake(
        "token --cert no.pem", "--cert or BLNK_AUTH_CERT: cert cannot be loaded", "set cert to a PEM file"
    ),
    "a key without its certificate": Mistake(
        "token --cert-key k.pem", "--cert-key or BLNK_AUTH_CERT_KEY has no effect", "set cert to the certificate's file"
    ),
    # what is written in the file
    "http in place of https": Mistake(
        "token", "base_url uses http to 'api.acme.test'", "use https", "http://127.0.0.1:9", "http://api.acme.test"
    ),
    "a URL without its scheme": Mistake(
        "token", "base_url must be an absolute URL", "write it as https://", "http://127.0.0.1:9", "api.acme.test"
    ),
    "the endpoint as the base": Mistake(
        "token",
        "base_url must be the URL to which /oauth/token is added",
        "leave /oauth/token out",
        ":9",
        ":9/oauth/token",
    ),
    "a key": Mistake(
        "token", "redirect_url is not a setting", "did you mean 'redirect_uri'?", "redirect_uri", "redirect_url"
    ),
    "a provider in the file": Mistake(
        "token", "provider 'blnk-cloud' is unknown", "did you mean 'blnk_cloud'?", "blnk_cloud", "blnk-cloud"
    ),
    "a variable that is not set": Mistake(
        "token", "client_secret refers to the environment variable SANDBOX_S", "set it", "SANDBOX_SECRET", "SANDBOX_S"
    ),
    "a variable without braces": Mistake(
        "token",
        "client_secret is written $SANDBOX_SECRET",
        "write ${SANDBOX_SECRET}",
        "${SANDBOX_SECRET}",
        "$SANDBOX_SECRET",
    ),
    "an entry of the keyring without a name": Mistake(
        "token", "client_secret", "write keyring:service/name", "${SANDBOX_SECRET}", "keyring:acme"
    ),
    "a secret that others may read": Mistake(
        "token",
        "client_secret is a secret, and other users may read the file",
        "run chmod 600",
        "${SANDBOX_SECRET}",
        "s3cr3t-s3cr3t",
    ),
    "a value without quotes": Mistake("token", "it is not TOML", "at line 4", '"acme"', "acme"),
    "no table": Mistake("token", "'provider' does not belong at the top", "[profiles.NAME]", "[profiles.default]", ""),
    "nobody's tokens": Mistake("token", "subject is missing", "--subject NAME", 'subject = "me"', ""),
    "the metadata as the issuer": Mistake(
        "token",
        "issuer must be the issuer's own URL",
        "leave /.well-known/ and what follows it out",
        'provider = "blnk_cloud"\nbase_url = "http://127.0.0.1:9"',
        'provider = "discover"\nissuer = "http://127.0.0.1:9/.well-known/openid-configuration"',
    ),
    "the client's own token at bLink": Mistake(
        "token --itself",
        "--itself: bLink issues tokens for users only",
        "leave it out",
        'provider = "blnk_cloud"',
        'provider = "blink"\ntarget_id = "T"\nuser_agent = "A"\nusername = "u"\nclient_auth = "none"',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_its_remedy(offline: CommandLine, monkeypatch: pytest.MonkeyPatch, mistake: Mistake) -> None:
    """One line, status 2, what was wrong and what to do; no secret, and nothing is stored or sent."""
    monkeypatch.chdir(offline.directory)
    assert mistake.right in PROFILE
    text = PROFILE.replace(mistake.right, mistake.wrong) if mistake.right else PROFILE
    is_open = "others may read" in mistake.problem or "other users may read" in mistake.problem
    offline.write(text, mode=0o644 if is_open else 0o600)
    result = offline.run(*mistake.arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    line = result.stderr
    assert (line.count("\n"), line.startswith("blnk-auth: ")) == (1, True)
    assert mistake.problem in line
    assert mistake.remedy in line
    assert leaks([line], ["s3cr3t-s3cr3t"]) == []
    assert {path.name for path in offline.directory.iterdir()} <= {"config.toml", "data"}
