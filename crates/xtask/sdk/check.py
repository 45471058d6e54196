"""OpenAI's Python SDK, unmodified, against ai-mock. `cargo xtask sdk` runs it.

It needs OPENAI_BASE_URL and OPENAI_API_KEY. Each check prints a line; a failed one says what was
expected and what came, and makes the exit code 1. check.mjs is the same for Node.
"""

import asyncio
import json
import sys
import time
import urllib.request

import openai
from openai import AsyncOpenAI, OpenAI

MODEL = "gpt-4.1-mini"
MESSAGES = [{"role": "user", "content": "Explain quantum computing"}]

# No retries unless a check asks for them: they would hide the errors that we look for.
client = OpenAI(max_retries=0)
checks = []


def check(name):
    """Registers a check under the name that its line shows."""

    def register(function):
        checks.append((name, function))
        return function

    return register


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, got {got!r}")


def expect_true(what, condition, got):
    if not condition:
        raise AssertionError(f"{what}: got {got!r}")


def mock(method, path, body=None):
    """Calls the mock's control API, which stands beside /v1."""
    url = str(client.base_url).removesuffix("/v1/") + "/_mock/" + path
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def log_of(item):
    """What the mock saw of the request that was sent with this x-mock-item."""
    return [entry for entry in mock("GET", "log") if entry["item"] == item]


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@check("chat")
def _():
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    choice = reply.choices[0]
    expect("role", choice.message.role, "assistant")
    expect("finish reason", choice.finish_reason, "stop")
    expect_true("a text", choice.message.content, choice.message.content)
    expect("total tokens", reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
    expect_true("a request id", (reply._request_id or "").startswith("req_"), reply._request_id)


@check("chat: max_tokens and n")
def _():
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=3, n=2)
    expect("finish reasons", [choice.finish_reason for choice in reply.choices], ["length", "length"])
    expect("completion tokens", reply.usage.completion_tokens, 6)


@check("stream")
def _():
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    expect("text", text_of(chunks), whole)
    expect("role", chunks[0].choices[0].delta.role, "assistant")
    expect("finish reason", chunks[-1].choices[0].finish_reason, "stop")
    expect("usage", [chunk.usage for chunk in chunks if chunk.usage], [])


@check("stream with usage")
def _():
    plain = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options))
    expect("choices of the last chunk", chunks[-1].choices, [])
    expect("its usage", chunks[-1].usage.total_tokens, plain.usage.total_tokens)
    expect("usage of the others", [chunk.usage for chunk in chunks[:-1] if chunk.usage], [])


@check("embeddings: base64, the SDK's default")
def _():
    reply = client.embeddings.create(model="text-embedding-3-small", input="the quick brown fox")
    vector = reply.data[0].embedding
    expect("dimensions", len(vector), 1536)
    length = sum(number * number for number in vector)
    expect_true("a unit vector", abs(length - 1) < 1e-3, length)


@check("embeddings: float")
def _():
    def embed(encoding_format):
        return client.embeddings.create(
            model="text-embedding-3-small", input="the quick brown fox", dimensions=64, encoding_format=encoding_format
        ).data[0].embedding

    as_float, as_base64 = embed("float"), embed(openai.NOT_GIVEN)
    expect("dimensions", (len(as_float), len(as_base64)), (64, 64))
    gap = max(abs(one - other) for one, other in zip(as_float, as_base64))
    expect_true("both encodings give one vector", gap < 1e-6, gap)


@check("embeddings: list")
def _():
    reply = client.embeddings.create(model="text-embedding-3-small", input=["a cat", "a dog", "a cat"])
    expect("indexes", [item.index for item in reply.data], [0, 1, 2])
    expect("equal texts give equal vectors", reply.data[0].embedding == reply.data[2].embedding, True)
    expect("other texts give others", reply.data[0].embedding == reply.data[1].embedding, False)


@check("models")
def _():
    models = [model.id for model in client.models.list()]
    expect_true("at least one model", models, models)
    expect("retrieved", client.models.retrieve(models[0]).id, models[0])


@check("tools")
def _():
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    choice = client.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0]
    expect("finish reason", choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    expect("function", call.function.name, "get_weather")
    expect("types", {name: type(value) for name, value in arguments.items()}, {"city": str, "days": int})
    # The agent's loop ends: given the tool's result, the model answers in text.
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    choice = client.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0]
    expect("finish reason after the tool's result", choice.finish_reason, "stop")


@check("tools, streamed")
def _():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=tools) as stream:
        choice = stream.get_final_completion().choices[0]
    expect("finish reason", choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0].function
    expect("function", call.name, "get_weather")
    expect("arguments", list(json.loads(call.arguments)), ["city"])


@check("response_format json_schema")
def _():
    schema = {
        "type": "object",
        "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}, "score": {"type": "number"}},
        "required": ["sentiment", "score"],
        "additionalProperties": False,
    }
    response_format = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=response_format)
    verdict = json.loads(reply.choices[0].message.content)
    expect("fields", sorted(verdict), ["score", "sentiment"])
    expect_true("sentiment", verdict["sentiment"] in ["positive", "negative"], verdict)
    expect_true("score", isinstance(verdict["score"], (int, float)), verdict)


def error_check(status, error_class, call):
    """An error of this status must arrive as this class of the SDK's, with the server's own words."""

    @check(f"error {status} is {error_class.__name__}")
    def _():
        try:
            call()
        except openai.APIStatusError as error:
            expect("class", type(error), error_class)
            expect("status", error.status_code, status)
            expect_true("a message", error.body and error.body["message"], error.body)
            expect_true("a request id", (error.request_id or "").startswith("req_"), error.request_id)
        else:
            raise AssertionError(f"expected {error_class.__name__}, got an answer")


def chat_failing(fault):
    headers = {"x-mock-fail": fault}
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers)


error_check(400, openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[]))
error_check(401, openai.AuthenticationError, lambda: client.with_options(api_key="sk-wrong").models.list())
error_check(404, openai.NotFoundError, lambda: client.chat.completions.create(model="no-such-model", messages=MESSAGES))
error_check(429, openai.RateLimitError, lambda: chat_failing("alwaysx429"))
error_check(500, openai.InternalServerError, lambda: chat_failing("alwaysx500"))


@check("its own retries recover from 429")
def _():
    item = "python-retries"
    headers = {"x-mock-fail": "2x429", "x-mock-item": item}
    retrying = client.with_options(max_retries=3)
    reply = retrying.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers)
    expect("finish reason", reply.choices[0].finish_reason, "stop")
    expect("statuses", [entry["status"] for entry in log_of(item)], [429, 429, 200])


@check("its own retries keep to Retry-After, which is honest")
def _():
    item = "python-retry-after"
    retrying = client.with_options(max_retries=3)
    # Left to itself the SDK would try again after half a second, and be refused again.
    mock("PATCH", "settings", {"rpm": 1, "window": "3s"})
    try:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
        retrying.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers={"x-mock-item": item})
    finally:
        mock("PATCH", "settings", {"rpm": None})
    expect("statuses", [entry["status"] for entry in log_of(item)], [429, 200])


@check("a stream closed early ends in the mock")
def _():
    item = "python-early-close"
    headers = {"x-mock-gate": item, "x-mock-item": item}
    mock("POST", f"gates/{item}/release", {"tokens": 2})
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=headers)
    tokens = (chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    next(tokens), next(tokens)
    stream.close()
    # The mock holds the third token back, so it can end only by noticing that we left.
    limit = time.monotonic() + 10
    while log_of(item)[0]["left_at_token"] is None and time.monotonic() < limit:
        time.sleep(0.02)
    expect("left at token", log_of(item)[0]["left_at_token"], 2)


@check("async: chat and stream")
def _():
    async def both():
        async with AsyncOpenAI(max_retries=0) as client:
            reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
            return reply.choices[0].message.content, text_of([chunk async for chunk in stream])

    whole, streamed = asyncio.run(both())
    expect_true("a text", whole, whole)
    expect("streamed text", streamed, whole)


failed = 0
for name, function in checks:
    try:
        function()
        print(f"ok  python  {name}", flush=True)
    except Exception as error:
        failed += 1
        print(f"FAILED  python  {name}: {type(error).__name__}: {error}", flush=True)
print(f"python: openai {openai.__version__}, {len(checks) - failed} of {len(checks)} checks passed")
sys.exit(1 if failed else 0)
