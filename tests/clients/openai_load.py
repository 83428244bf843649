"""The calls of a world at a rate, with the official OpenAI SDK and its defaults."""

import asyncio
import os

import openai


async def call(client: openai.AsyncOpenAI, number: int) -> None:
    try:
        await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"What is {number} and {number}?"}],
            # A name of its own tells a call's attempts from those of others.
            extra_headers={"x-brownout-call": str(number)},
        )
    except openai.OpenAIError:
        # What became of it stands in the server's journal.
        pass


async def main() -> None:
    rate, seconds = float(os.environ["BROWNOUT_RATE"]), float(os.environ["BROWNOUT_SECONDS"])
    async with openai.AsyncOpenAI() as client:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        calls = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(begun + number / rate - loop.time())
            calls.append(asyncio.create_task(call(client, number)))
        await asyncio.gather(*calls)


asyncio.run(main())
