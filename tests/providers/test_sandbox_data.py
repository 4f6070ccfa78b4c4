"""The data of the sandbox: shapes that the providers document, and the same data in each run."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from support.providers import USER_AGENT
from support.worlds import World

from blnk_auth import HttpxAuth, TokenSource
from blnk_auth.testing import Sandbox
from blnk_auth.testing.sandbox._sample_data import swiss_accounts


def get(world: World, source: TokenSource, path: str) -> Any:
    response = httpx.get(world.url_of(path), auth=HttpxAuth(source))
    assert response.status_code == 200, response.text
    return response.json()


def test_blnk_lists_and_finds_records(blnk_cloud: World) -> None:
    """The Data API's pages, the array of /proxy, and one record of each kind by its id, which all agree."""
    alice = blnk_cloud.signed_in()
    for resource, id_field in (
        ("ledgers", "ledger_id"),
        ("balances", "balance_id"),
        ("transactions", "transaction_id"),
        ("identities", "identity_id"),
    ):
        listed = get(blnk_cloud, alice, f"/data/{resource}?instance_id=instance_1")
        assert listed["total"] == len(listed["data"]) > 1
        assert get(blnk_cloud, alice, f"/proxy/{resource}") == listed["data"]
        first = listed["data"][0]
        assert get(blnk_cloud, alice, f"/data/{resource}/{first[id_field]}") == first
        pages = [get(blnk_cloud, alice, f"/data/{resource}?page={page}&pageSize=1")["data"] for page in (1, 2)]
        assert [*pages[0], *pages[1]] == listed["data"][:2]
    with Sandbox() as other:
        token = other.issue()["access_token"]
        again = httpx.get(f"{other.origin}/data/ledgers", headers={"Authorization": f"Bearer {token}"}).json()
    assert again == get(blnk_cloud, alice, "/data/ledgers")


@pytest.mark.parametrize("odd", ["page=0", "page=-1", "pageSize=x", "pageSize=0", f"page={'9' * 5000}", "pageSize=%B2"])
def test_an_odd_page_number_is_accepted(blnk_cloud: World, odd: str) -> None:
    """The sandbox takes the usual page, or returns an empty one."""
    assert get(blnk_cloud, blnk_cloud.signed_in(), f"/data/ledgers?{odd}")["total"] == 2


def rpc(world: World, method: str, **params: Any) -> Any:
    """The response of Blnk's MCP server to one call."""
    call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return httpx.post(world.url_of("/mcp/instance_1"), json=call, auth=HttpxAuth(world.signed_in())).json()


def test_blnk_has_an_mcp_server(blnk_cloud: World) -> None:
    """Its tools work on the same ledgers as the API, and it answers as the protocol demands."""
    assert rpc(blnk_cloud, "initialize")["result"]["protocolVersion"] == "2025-03-26"
    assert rpc(blnk_cloud, "ping") == {"jsonrpc": "2.0", "id": 7, "result": {}}
    tools = rpc(blnk_cloud, "tools/list")["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["list_ledgers", "create_ledger"]
    rpc(blnk_cloud, "tools/call", name="create_ledger", arguments={"name": "by a tool"})
    listed = rpc(blnk_cloud, "tools/call", name="list_ledgers", arguments={})["result"]["content"][0]["text"]
    assert json.loads(listed) == get(blnk_cloud, blnk_cloud.signed_in(), "/proxy/ledgers")
    assert json.loads(listed)[-1]["name"] == "by a tool"


def test_blnk_refuses_what_its_mcp_server_does_not_know(blnk_cloud: World) -> None:
    """An error of JSON-RPC; 202 for a notification, 405 for a stream, 401 without a token."""
    assert rpc(blnk_cloud, "tools/call", name="create_ledger")["error"]["code"] == -32602
    assert rpc(blnk_cloud, "server/discover")["error"]["code"] == -32601
    url, auth = blnk_cloud.url_of("/mcp/instance_1"), HttpxAuth(blnk_cloud.signed_in())
    assert httpx.post(url, content=b"[]", auth=auth).json()["error"]["code"] == -32600
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert httpx.post(url, json=notification, auth=auth).status_code == 202
    assert httpx.get(url, auth=auth).headers["allow"] == "POST"
    assert httpx.post(url, json=notification).status_code == 401


def test_blnk_ledgers_and_transactions_are_created_through_the_proxy(blnk_cloud: World) -> None:
    """A new record is listed; a missing member is named."""
    alice = blnk_cloud.signed_in()
    with httpx.Client(auth=HttpxAuth(alice), base_url=blnk_cloud.sandbox.origin) as http:
        ledger = http.post("/proxy/ledgers", json={"name": "Savings", "meta_data": {"a": 1}})
        assert (ledger.status_code, ledger.json()["name"], ledger.json()["meta_data"]) == (201, "Savings", {"a": 1})
        assert http.get("/data/ledgers").json()["data"][-1] == ledger.json()
        payer, payee, *_ = (each["balance_id"] for each in http.get("/data/balances").json()["data"])
        asked = {"amount": 12.5, "currency": "USD", "source": payer, "destination": payee, "reference": "r-1"}
        transaction = http.post("/proxy/transactions", json=asked)
        assert (transaction.status_code, transaction.json()["status"]) == (201, "QUEUED")
        assert http.get("/data/transactions").json()["data"][-1] == transaction.json()
        for name in asked.keys() - {"reference"}:
            refused = http.post("/proxy/transactions", json={**asked, name: None})
            assert (refused.status_code, refused.json()) == (400, {"error": f"{name} is required"})
        assert http.get("/data/ledgers/ldg_unknown").status_code == 404


def test_blink_accounts_are_the_users_at_that_bank(blink: World) -> None:
    """Valid IBANs, balances and transactions for each account; another user has others."""
    alice = blink.signed_in()
    accounts = get(blink, alice, "/ais/v6/accounts")["accounts"]
    assert {each["ownerName"] for each in accounts} == {"alice"}
    for account in accounts:
        iban = account["iban"]
        # ISO 13616: the country and the check digits are moved to the end, letters become numbers, and modulo 97 is 1.
        assert int("".join(str(int(each, 36)) for each in iban[4:] + iban[:4])) % 97 == 1
        assert len(iban) == 21
        assert get(blink, alice, f"/ais/v6/accounts/{account['id']}") == account
        assert get(blink, alice, f"/ais/v6/accounts/{account['id']}/balances") == {"balances": [account["balance"]]}
        assert len(get(blink, alice, f"/ais/v6/accounts/{account['id']}/transactions")["transactions"]) == 4
    of_bob = swiss_accounts("bob", "IIDX99999")
    assert {each["iban"] for each in of_bob}.isdisjoint(each["iban"] for each in accounts)
    for path in (f"/ais/v6/accounts/{of_bob[0]['id']}", "/ais/v6/cards", f"/ais/v6/accounts/{accounts[0]['id']}/x"):
        assert httpx.get(blink.url_of(path), auth=HttpxAuth(alice)).status_code == 404
    assert blink.requests("/accounts")[0].headers["user-agent"] == USER_AGENT


def test_flinks_accounts_come_in_pages(flinks: World) -> None:
    """FDX 5: two pages with a link, an account by its id as a deposit account, and its transactions."""
    alice = flinks.signed_in()
    first = get(flinks, alice, "/api/fdx/5/accounts")
    second = httpx.get(first["links"]["next"]["href"], auth=HttpxAuth(alice)).json()
    accounts = [*first["accounts"], *second["accounts"]]
    assert "links" not in second
    assert len({each["accountId"] for each in accounts}) == first["page"]["totalElements"] == 3
    for account in accounts:
        assert get(flinks, alice, f"/api/fdx/5/accounts/{account['accountId']}") == {"depositAccount": account}
        listed = get(flinks, alice, f"/api/fdx/5/accounts/{account['accountId']}/transactions")["transactions"]
        assert {each["depositTransaction"]["accountId"] for each in listed} == {account["accountId"]}
    missing = httpx.get(flinks.url_of("/api/fdx/5/accounts/unknown"), auth=HttpxAuth(alice))
    assert (missing.status_code, missing.json()["code"]) == (404, 701)
