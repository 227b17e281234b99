"""A server and a client that exchange lines over streams."""

import ssl


async def echo(reader, writer):
    """Send back each line until the peer closes."""
    while True:
        line = await reader.readline()
        if not line:
            break
        writer.write(line)
        await writer.drain()
    writer.close()


async def say(reader, writer, line):
    """Send a line and return the answer, and close."""
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    try:
        await writer.wait_closed()
    except (ConnectionError, ssl.SSLError):
        pass  # the peer was quicker
    return answer
