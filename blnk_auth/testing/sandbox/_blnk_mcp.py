"""The MCP endpoint of Blnk Cloud: `POST /mcp/{instance_id}` of the Model Context Protocol, revision 2025-03-26.

Used by Blnk Cloud's personality, for requests with a valid token. It promises two of the tools that Blnk documents, on
the ledgers of the workspace. Blnk does not publish their arguments and results, so those here are made up. It never
opens a stream or a session: each response is one JSON message, which the protocol allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._answer import Answer
from ._journal import RecordedRequest
from ._sample_data import Workspace

PROTOCOL_VERSION = "2025-03-26"

_INVALID_REQUEST = -32600
_METHOD_NOT_FOUND = -32601
_INVALID_PARAMS = -32602
"""JSON-RPC 2.0 section 5.1."""

_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "name": "list_ledgers",
        "description": "List all ledgers",
        "inputSchema": {"type": "object", "properties": {}},
    },
    {
        "name": "create_ledger",
        "description": "Create a new ledger for organizing balances",
        "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
)


class _RPCError(Exception):
    """A refusal of JSON-RPC: its code, and why."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


def respond(request: RecordedRequest, workspace: Workspace) -> Answer:
    """The response to one message of a client."""
    if request.method != "POST":
        # A server that offers no stream answers so to GET, and one without sessions to DELETE.
        return Answer.json(405, {"error": "Method not allowed"}, {"allow": "POST"})
    message = request.json
    if "method" in message and "id" not in message:
        return Answer(202)
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
    try:
        reply["result"] = _result(message, workspace)
    except _RPCError as refusal:
        reply["error"] = {"code": refusal.code, "message": str(refusal)}
    return Answer.json(200, reply)


def _result(message: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    match message:
        case {"method": "initialize"}:
            server = {"name": "blnk", "version": "sandbox"}
            return {"protocolVersion": PROTOCOL_VERSION, "capabilities": {"tools": {}}, "serverInfo": server}
        case {"method": "ping"}:
            return {}
        case {"method": "tools/list"}:
            return {"tools": list(_TOOLS)}
        case {"method": "tools/call", "params": {"name": "list_ledgers"}}:
            return _shown(workspace.all("ledgers"))
        case {"method": "tools/call", "params": {"name": "create_ledger", "arguments": {"name": str(name)}}}:
            return _shown(workspace.add("ledgers", {"name": name}))
        case {"method": "tools/call"}:
            raise _RPCError(_INVALID_PARAMS, "the tools are list_ledgers and create_ledger, which needs a name")
        case {"method": method}:
            raise _RPCError(_METHOD_NOT_FOUND, f"unknown method {method}")
        case _:
            raise _RPCError(_INVALID_REQUEST, "not a JSON-RPC message")


def _shown(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}], "isError": False}
