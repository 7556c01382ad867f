"""A program on the official client of the Model Context Protocol: asks a server, and prints what it said.

It is run by a Python that has the package `mcp`, and imports nothing of ours.
Usage: mcp_client.py MODE TOOL ARGUMENTS COMMAND …
"""

import json
import os
import sys

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def main(mode: str, tool: str, arguments: str, command: str, *options: str) -> None:
    """Begin as a client of that mode does, list the tools and call one; the client checks every answer."""
    server = StdioServerParameters(command=command, args=list(options), env=dict(os.environ))
    async with Client(stdio_client(server), mode=mode) as client:
        listed = await client.list_tools()
        result = await client.call_tool(tool, json.loads(arguments))
        said = {
            "protocol": client.protocol_version,
            "tools": [each.name for each in listed.tools],
            "structured": result.structured_content,
            "error": result.is_error,
        }
    print(json.dumps(said))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    given = sys.argv[1:]
    anyio.run(lambda: main(*given))
