"""SIGTERM with 8 open streams: all end complete, new requests get a 503, and the server exits 0 (the caller looks at that)."""

import asyncio
import os
import signal
import sys

import openai

from hone_client import async_client, chat, joined, whole


async def main(pid):
    async with async_client() as client:
        request = [chat(i, max_tokens=200, temperature=1) for i in range(8)]
        alone = [whole(await client.chat.completions.create(**r)) for r in request]
        streams = [await client.chat.completions.create(stream=True, **r) for r in request]
        begun = [[await anext(s)] for s in streams]
        os.kill(pid, signal.SIGTERM)
        refused = await late(client)
        rest = await asyncio.gather(*(collect(b, s) for b, s in zip(begun, streams)))
        for i, (a, b) in enumerate(zip(alone, map(joined, rest))):
            if a != b:
                sys.exit(f"stream {i} is not whole after SIGTERM: {b[2]!r}, {len(b[1])} tokens of {len(a[1])}")
        if not refused:
            sys.exit("a request after SIGTERM was not refused with 503")
        print("drain: 8 of 8 streams whole, a late request refused with 503")


async def late(client):
    """A request after the signal, which may take a moment to arrive."""
    for _ in range(100):
        try:
            await client.chat.completions.create(**chat(0, max_tokens=1))
        except openai.APIStatusError as e:
            return e.status_code == 503
        await asyncio.sleep(0.005)
    return False


async def collect(chunks, stream):
    async for chunk in stream:
        chunks.append(chunk)
    return chunks


asyncio.run(main(int(sys.argv[1])))
