"""The client's certificate: a renewed file is used without restart, a broken one changes nothing, its end is known."""

from __future__ import annotations

import datetime
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import ConfigurationError, OAuthClient
from blnk_auth._transport.client_certificate import EXPIRY_WARNING, ClientCertificate
from blnk_auth._transport.network import Network
from blnk_auth.policy import RenewalPolicy
from blnk_auth.testing import Clock

DAY = 86_400.0
SECOND_DAY = datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
AT = SECOND_DAY.timestamp()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Files:
    """A certificate and its key, and what was reported of them."""

    authority: trustme.CA
    directory: Path
    reported: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    @property
    def cert(self) -> tuple[str, str]:
        return str(self.directory / "client.pem"), str(self.directory / "client.key")

    def write(self, expires: datetime.datetime = SECOND_DAY, *, key: bool = True) -> None:
        """Write a new certificate, and its key."""
        issued = self.authority.issue_cert("client.test", not_after=expires)
        issued.cert_chain_pems[0].write_to_path(self.cert[0])
        if key:
            issued.private_key_pem.write_to_path(self.cert[1])

    def report(self, name: str, detail: str) -> None:
        self.reported.append(name)
        self.details.append(detail)


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Files:
    made = Files(authority, tmp_path)
    made.write()
    return made


def test_nothing_changes_while_the_files_do_not(files: Files) -> None:
    """The same context, and no report."""
    certificate = ClientCertificate(True, files.cert)
    first = certificate.look(0, files.report)
    assert certificate.look(1, files.report) is first
    assert not files.reported


def test_a_renewed_file_is_used_from_the_next_request_on(files: Files) -> None:
    """With its own end."""
    certificate = ClientCertificate(True, files.cert)
    first = certificate.look(0, files.report)
    files.write(SECOND_DAY + datetime.timedelta(days=90))
    assert certificate.look(1, files.report) is not first
    assert files.reported == ["certificate_renewed"]
    assert certificate.expires_at == AT + 90 * DAY


def test_one_file_with_both_is_renewed_too(files: Files) -> None:
    """As a single PEM file."""
    both = files.directory / "both.pem"

    def join() -> None:
        both.write_bytes(Path(files.cert[0]).read_bytes() + Path(files.cert[1]).read_bytes())

    join()
    certificate = ClientCertificate(True, str(both))
    files.write()
    join()
    certificate.look(1, files.report)
    assert files.reported == ["certificate_renewed"]


def test_a_directory_that_is_swapped_is_noticed(files: Files) -> None:
    """As Kubernetes renews a secret: the path stays, and a symbolic link on it leads elsewhere."""
    old, new, link = (files.directory / name for name in ("old", "new", "link"))
    for directory in (old, new):
        directory.mkdir()
        files.write()
        for file in files.cert:
            shutil.copy2(file, directory)
    link.symlink_to(old)
    certificate = ClientCertificate(True, (str(link / "client.pem"), str(link / "client.key")))
    link.unlink()
    link.symlink_to(new)
    certificate.look(1, files.report)
    assert files.reported == ["certificate_renewed"]


BREAK: dict[str, Any] = {
    "half written": lambda files: Path(files.cert[0]).write_bytes(Path(files.cert[0]).read_bytes()[:300]),
    "empty": lambda files: Path(files.cert[0]).write_bytes(b""),
    "gone": lambda files: Path(files.cert[0]).unlink(),
    "the key is gone": lambda files: Path(files.cert[1]).unlink(),
    "the certificate without its key": lambda files: files.write(key=False),
    "something else": lambda files: Path(files.cert[0]).write_text("not a certificate"),
}


@pytest.mark.parametrize("break_it", BREAK.values(), ids=BREAK)
def test_files_that_cannot_be_read_change_nothing(files: Files, break_it: Any) -> None:
    """The certificate that was loaded stays in use, and that is reported once, without a path; then they are whole."""
    certificate = ClientCertificate(True, files.cert)
    first = certificate.look(0, files.report)
    break_it(files)
    for moment in range(3):
        assert certificate.look(moment, files.report) is first
    assert files.reported == ["certificate_unreadable"]
    assert str(files.directory) not in files.details[0]
    files.write(SECOND_DAY + datetime.timedelta(days=1))
    assert certificate.look(4, files.report) is not first
    assert files.reported == ["certificate_unreadable", "certificate_renewed"]


def test_a_file_that_was_only_touched_is_not_reported(files: Files) -> None:
    """It is the same certificate."""
    certificate = ClientCertificate(True, files.cert)
    Path(files.cert[0]).touch()
    certificate.look(0, files.report)
    assert not files.reported


@pytest.mark.parametrize(
    ("now", "reported"),
    [
        (AT - EXPIRY_WARNING - 1, None),
        (AT - EXPIRY_WARNING, "expires in 21 days"),
        (AT - 3600, "expires in 1:00:00"),
        (AT, "has expired"),
        (AT + DAY, "has expired"),
    ],
)
def test_the_end_is_reported(files: Files, now: float, reported: str | None) -> None:
    """From three weeks before it on."""
    ClientCertificate(True, files.cert).look(now, files.report)
    assert len(files.details) == (reported is not None)
    assert all(reported is not None and reported in detail for detail in files.details)


def test_the_end_is_reported_once_a_day(files: Files) -> None:
    """However many requests are sent; a renewed certificate that ends soon as well is reported again."""
    certificate = ClientCertificate(True, files.cert)
    for hour in range(49):
        certificate.look(AT - 5 * DAY + hour * 3600, files.report)
    assert files.reported == ["certificate_expiring"] * 3
    files.write()
    certificate.look(AT - 3 * DAY, files.report)
    assert files.reported[3:] == ["certificate_renewed", "certificate_expiring"]


# --- a client --------------------------------------------------------------------------------------------------------


def test_a_client_reports_the_end_when_it_is_made(files: Files) -> None:
    """And at renewals, as an event of the client, with the provider, and without a subject."""
    world = ScriptedWorld()
    OAuthClient(
        acme(), client_id="id", client_auth="tls_client_auth", cert=files.cert, on_event=world.events, clock=Clock(AT)
    )
    (event,) = world.events
    assert (event.name, event.subject, event.provider) == ("certificate_expiring", None, "acme")
    assert event.store_key == "token/acme/https%3A%2F%2Fas.acme.test/id/"


def test_what_happens_during_a_renewal_is_emitted_after_it(files: Files) -> None:
    """A request is sent under the store's lock, where no event may be emitted."""
    clock, world = Clock(AT - 30 * DAY), ScriptedWorld()
    client = OAuthClient(
        acme(), client_id="id", client_auth="tls_client_auth", cert=files.cert, on_event=world.events, clock=clock
    )
    network = client._state.network
    assert not world.events
    clock.advance(20 * DAY)
    assert network.tls is not None
    assert not world.events
    client._state.operations.wait_for(client._state.operations.begin(lambda _: None))
    settle()
    assert world.events.names == ["certificate_expiring"]


def test_a_client_without_a_certificate_looks_at_no_file() -> None:
    """It has none, and reports nothing."""
    world = ScriptedWorld()
    alice = world.signed_in()
    world.server.will(pair(1))
    alice.renew()
    assert world.client._state.network.certificate_expires_at is None
    assert not [name for name in world.emitted() if name.startswith("certificate")]


@pytest.mark.parametrize(
    "cert", [7, (), "/no/such.pem", ("/no/such.pem", "/no/such.key"), "\0", b"x", ["/no/such.pem"]]
)
def test_a_certificate_that_cannot_be_used_is_named(cert: Any) -> None:
    """At construction."""
    with raises(ConfigurationError, parameter="cert"):
        Network(RenewalPolicy(), cert=cert)


def test_the_end_of_a_file_that_was_never_a_certificate_is_unknown(files: Files) -> None:
    """A key can be loaded without a certificate that we can parse; nothing is guessed."""
    certificate = ClientCertificate(True, files.cert)
    assert certificate.expires_at == AT
    Path(files.cert[0]).unlink()
    certificate.look(AT - DAY, files.report)
    assert certificate.expires_at == AT
