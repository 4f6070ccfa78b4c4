"""An API that only clients with a certificate can reach (RFC 8705). What a provider wants is in tests/providers."""

from __future__ import annotations

import ssl

import pytest
from support.certificates import Certificates
from support.clients import Kind, through_every_client
from support.sites import Received, Reply, Site
from support.worlds import World

from blnk_auth.testing import assert_renewed_once


@through_every_client
def test_each_attempt_has_the_certificate_of_the_client(world: World, certificates: Certificates, kind: Kind) -> None:
    """It is sent as the client was set up: with the request, and with the one that is sent after a rejection."""

    def answer(_: Received) -> Reply:
        return Reply(200) if len(api.received) == 2 else Reply.rejected()

    trusted = ssl.create_default_context(cafile=certificates.ca_file)
    with Site(answer, tls=certificates.server(client_certificate=ssl.CERT_REQUIRED)) as api:
        alice = world.signed_in(api_origins=(api.origin,))
        # With asyncio, httpx lets the error of TLS 1.3 through as it is.
        with kind.open(alice, verify=trusted) as http, pytest.raises((kind.request_error, ssl.SSLError)):
            http.get(api.origin)
        assert api.received == []
        # niquests takes no context, so its certificate is passed with the call.
        own = {"cert": certificates.files("client")} if kind.package == "niquests" else {}
        with kind.open(alice, verify=trusted if own else certificates.context("client")) as http:
            assert http.get(api.origin, **own).status == 200
    assert len(set(api.authorizations)) == 2
    assert None not in api.authorizations
    assert_renewed_once(world.sandbox)
