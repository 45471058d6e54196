"""Chat calls by OpenAI's Python SDK. src/bin/sdks.rs runs it: chat.py sync|async CALLS IN_FLIGHT PROMPT MODEL

It needs OPENAI_BASE_URL and OPENAI_API_KEY, and prints a line of JSON: the time on the wall and the
CPU time of this process, all threads, in seconds. chat.cjs is the same for Node.
"""

import asyncio
import json
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai
from openai import AsyncOpenAI, OpenAI

how, calls, in_flight, prompt, model = sys.argv[1:]
calls, in_flight = int(calls), int(in_flight)

# To warm up: connections, and what is imported and compiled when it is first used.
WARM = 4 * in_flight

REQUEST = {
    "model": model,
    "messages": [{"role": "user", "content": prompt}],
    "temperature": 0.7,
}


def share(worker, calls):
    """How many of the calls are this worker's."""
    return len(range(worker, calls, in_flight))


def check(completion):
    assert completion.choices[0].message.content, "every answer has a text"


def by_threads():
    # No retries: they would hide an error.
    client = OpenAI(max_retries=0)

    def work(calls):
        for _ in range(calls):
            check(client.chat.completions.create(**REQUEST))

    with ThreadPoolExecutor(in_flight) as pool:

        def run(calls):
            list(pool.map(work, [share(worker, calls) for worker in range(in_flight)]))

        run(WARM)
        with measured():
            run(calls)


async def by_tasks():
    async with AsyncOpenAI(max_retries=0) as client:

        async def work(calls):
            for _ in range(calls):
                check(await client.chat.completions.create(**REQUEST))

        async def run(calls):
            await asyncio.gather(*[work(share(worker, calls)) for worker in range(in_flight)])

        await run(WARM)
        with measured():
            await run(calls)


class measured:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, kind, *_):
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        if kind is None:
            version = f"openai {openai.__version__}, Python {platform.python_version()}"
            print(json.dumps({"wall": wall, "cpu": cpu, "version": version}))


if how == "sync":
    by_threads()
else:
    asyncio.run(by_tasks())
