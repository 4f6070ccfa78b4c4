"""Each extra by itself: in an environment with the base requirements and that extra, what it is for works."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from support.environments import make_environment, run_in

_CLIENT = """
from blnk_auth import *
client = OAuthClient(BlnkCloud(), client_id="id", client_secret="s")
alice = client.for_subject("alice")
"""

USES = {
    "aiohttp": f"{_CLIENT}\nfrom blnk_auth import AiohttpAuth\nAiohttpAuth(alice)",
    "httpx2": f"{_CLIENT}\nimport httpx2\nhttpx2.Client(auth=Httpx2Auth(alice)).close()",
    "jwt": f"""{_CLIENT}
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
OAuthClient(BlnkCloud(), client_id="id", client_auth="private_key_jwt", private_key=pem)
""",
    "redis": "from blnk_auth import RedisStore\nRedisStore('redis://127.0.0.1:1/0')",
    "sql": "from blnk_auth import SQLStore\nstore = SQLStore('sqlite:///x.db')\nstore.create_schema()\nstore.close()",
    "keyring": """
import keyring.backend
from blnk_auth import KeyringStore
class Memory(keyring.backend.KeyringBackend):
    priority = 1
    found = {}
    def get_password(self, service, name): return self.found.get((service, name))
    def set_password(self, service, name, password): self.found[service, name] = password
    def delete_password(self, service, name): del self.found[service, name]
store = KeyringStore("x", backend=Memory())
assert list(store.keys()) == []
""",
    "encrypted": """
from blnk_auth import EncryptedStore, MemoryStore
store = EncryptedStore(MemoryStore(), keys=[EncryptedStore.new_key()])
store.save("k", {"a": 1}, expected=None)
assert store.load("k").data == {"a": 1}
""",
    "key-value": "import key_value\nfrom blnk_auth import KeyValueStore",
    "cli": """
import subprocess, sys
done = subprocess.run([sys.executable, "-m", "blnk_auth", "--help"], capture_output=True, text=True)
assert "keepalive" in done.stdout, done.stderr
""",
    "otel": f"{_CLIENT}\nfrom blnk_auth.opentelemetry import Telemetry\nTelemetry()(Event('renewed', 'token/x'))",
    "sandbox": "from blnk_auth.testing import Sandbox\nwith Sandbox() as sandbox: assert sandbox.origin",
    "all": "from blnk_auth.testing import Sandbox\nimport aiohttp, click, httpx2, opentelemetry, redis, sqlalchemy",
}
"""For each extra, a program that needs it."""


def declared() -> set[str]:
    """The extras that the installation offers."""
    return set(metadata.metadata("blnk-auth").get_all("Provides-Extra") or ())


def test_each_extra_is_tried() -> None:
    """And pyproject.toml and the installation agree."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(USES) == declared() == set(project["optional-dependencies"])


@pytest.mark.parametrize("extra", USES)
def test_an_extra_brings_what_it_is_for(extra: str, tmp_path: Path) -> None:
    """Nothing else is installed beside the base requirements."""
    python = make_environment(tmp_path / "environment", f"blnk-auth[{extra}]")
    run_in(python, USES[extra], cwd=tmp_path)
