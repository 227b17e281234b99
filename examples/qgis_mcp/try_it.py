"""A client for the server in QGIS, with the official SDK: `python try_it.py TOKEN [PORT]`.

It adds a layer, colours it, and saves a picture of the map as map.png.
"""

import asyncio
import base64
import sys
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

CITIES = [
    {"wkt": "POINT(7.1 50.7)", "attributes": {"city": "Bonn"}},
    {"wkt": "POINT(13.4 52.5)", "attributes": {"city": "Berlin"}},
]


async def main(token, port="8642"):
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=300)
    transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
    async with http, Client(transport) as qgis:
        print(f"{qgis.server_info.name}, MCP {qgis.protocol_version}")
        print("Tools:", ", ".join(tool.name for tool in (await qgis.list_tools()).tools))
        layer = await qgis.call_tool("add_layer", {"name": "Cities", "features": CITIES})
        layer_id = layer.structured_content["id"]
        await qgis.call_tool("style_layer", {"layer": layer_id, "color": "#ff8000"})
        print((await qgis.call_tool("list_layers")).content[0].text)
        picture = await qgis.call_tool("picture")
        return base64.b64decode(picture.content[0].data)


Path("map.png").write_bytes(asyncio.run(main(*sys.argv[1:])))
print("The map is in map.png")
