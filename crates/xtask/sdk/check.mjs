// OpenAI's Node SDK, unmodified, against ai-mock. `cargo xtask sdk` runs it.
//
// It needs OPENAI_BASE_URL and OPENAI_API_KEY. Each check prints a line; a failed one says what was
// expected and what came, and makes the exit code 1. check.py is the same for Python.

import { isDeepStrictEqual } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const MODEL = "gpt-4.1-mini";
const MESSAGES = [{ role: "user", content: "Explain quantum computing" }];

// No retries unless a check asks for them: they would hide the errors that we look for.
const client = new OpenAI({ maxRetries: 0 });
const checks = [];
const check = (name, run) => checks.push({ name, run });

function expect(what, got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) {
    throw new Error(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`);
  }
}

function expectTrue(what, condition, got) {
  if (!condition) throw new Error(`${what}: got ${JSON.stringify(got)}`);
}

const chat = (more = {}, options = {}) =>
  client.chat.completions.create({ model: MODEL, messages: MESSAGES, ...more }, options);

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

// Calls the mock's control API, which stands beside /v1.
async function mock(method, path, body) {
  const url = client.baseURL.replace(/\/v1\/?$/, `/_mock/${path}`);
  const headers = { "content-type": "application/json" };
  const reply = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  expect(`${method} ${path}`, reply.status, 200);
  return reply.json();
}

// What the mock saw of the request that was sent with this x-mock-item.
const logOf = async (item) => (await mock("GET", "log")).filter((entry) => entry.item === item);

check("chat", async () => {
  const reply = await chat();
  const [choice] = reply.choices;
  expect("role", choice.message.role, "assistant");
  expect("finish reason", choice.finish_reason, "stop");
  expectTrue("a text", choice.message.content, choice.message.content);
  expect("total tokens", reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
  expectTrue("a request id", reply._request_id?.startsWith("req_"), reply._request_id);
});

check("chat: max_tokens and n", async () => {
  const reply = await chat({ max_tokens: 3, n: 2 });
  expect("finish reasons", reply.choices.map((choice) => choice.finish_reason), ["length", "length"]);
  expect("completion tokens", reply.usage.completion_tokens, 6);
});

check("stream", async () => {
  const whole = (await chat()).choices[0].message.content;
  const chunks = await collect(await chat({ stream: true }));
  expect("text", textOf(chunks), whole);
  expect("role", chunks[0].choices[0].delta.role, "assistant");
  expect("finish reason", chunks.at(-1).choices[0].finish_reason, "stop");
  expect("usage", chunks.filter((chunk) => chunk.usage).length, 0);
});

check("stream with usage", async () => {
  const plain = await chat();
  const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  expect("choices of the last chunk", chunks.at(-1).choices, []);
  expect("its usage", chunks.at(-1).usage.total_tokens, plain.usage.total_tokens);
  expect("usage of the others", chunks.slice(0, -1).filter((chunk) => chunk.usage).length, 0);
});

const embed = (input, more = {}) => client.embeddings.create({ model: "text-embedding-3-small", input, ...more });

check("embeddings: base64, the SDK's default", async () => {
  const [{ embedding }] = (await embed("the quick brown fox")).data;
  expect("dimensions", embedding.length, 1536);
  const length = embedding.reduce((sum, number) => sum + number * number, 0);
  expectTrue("a unit vector", Math.abs(length - 1) < 1e-3, length);
});

check("embeddings: float", async () => {
  const [asFloat] = (await embed("the quick brown fox", { dimensions: 64, encoding_format: "float" })).data;
  const [asBase64] = (await embed("the quick brown fox", { dimensions: 64 })).data;
  expect("dimensions", [asFloat.embedding.length, asBase64.embedding.length], [64, 64]);
  const gap = Math.max(...asFloat.embedding.map((number, at) => Math.abs(number - asBase64.embedding[at])));
  expectTrue("both encodings give one vector", gap < 1e-6, gap);
});

check("embeddings: list", async () => {
  const { data } = await embed(["a cat", "a dog", "a cat"]);
  expect("indexes", data.map((item) => item.index), [0, 1, 2]);
  expect("equal texts give equal vectors", isDeepStrictEqual(data[0].embedding, data[2].embedding), true);
  expect("other texts give others", isDeepStrictEqual(data[0].embedding, data[1].embedding), false);
});

check("models", async () => {
  const models = (await collect(await client.models.list())).map((model) => model.id);
  expectTrue("at least one model", models.length, models);
  expect("retrieved", (await client.models.retrieve(models[0])).id, models[0]);
});

const weather = (properties) => [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties, required: Object.keys(properties), additionalProperties: false },
    },
  },
];

check("tools", async () => {
  const tools = weather({ city: { type: "string" }, days: { type: "integer" } });
  const messages = [{ role: "user", content: "What is the weather in Paris?" }];
  const [choice] = (await chat({ messages, tools })).choices;
  expect("finish reason", choice.finish_reason, "tool_calls");
  const [call] = choice.message.tool_calls;
  const { city, days } = JSON.parse(call.function.arguments);
  expect("function", call.function.name, "get_weather");
  expect("types", [typeof city, Number.isInteger(days)], ["string", true]);
  // The agent's loop ends: given the tool's result, the model answers in text.
  messages.push(choice.message, { role: "tool", tool_call_id: call.id, content: "sunny" });
  const [after] = (await chat({ messages, tools })).choices;
  expect("finish reason after the tool's result", after.finish_reason, "stop");
});

check("tools, streamed", async () => {
  const stream = client.chat.completions.stream({
    model: MODEL,
    messages: MESSAGES,
    tools: weather({ city: { type: "string" } }),
  });
  const [choice] = (await stream.finalChatCompletion()).choices;
  expect("finish reason", choice.finish_reason, "tool_calls");
  const call = choice.message.tool_calls[0].function;
  expect("function", call.name, "get_weather");
  expect("arguments", Object.keys(JSON.parse(call.arguments)), ["city"]);
});

check("response_format json_schema", async () => {
  const schema = {
    type: "object",
    properties: { sentiment: { type: "string", enum: ["positive", "negative"] }, score: { type: "number" } },
    required: ["sentiment", "score"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "verdict", strict: true, schema } };
  const verdict = JSON.parse((await chat({ response_format })).choices[0].message.content);
  expect("fields", Object.keys(verdict).sort(), ["score", "sentiment"]);
  expectTrue("sentiment", ["positive", "negative"].includes(verdict.sentiment), verdict);
  expectTrue("score", typeof verdict.score === "number", verdict);
});

// Runs a call that must fail, and gives its error.
async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, got an answer");
}

// An error of this status must arrive as this class of the SDK's, with the server's own words.
function errorCheck(status, errorClass, call) {
  check(`error ${status} is ${errorClass.name}`, async () => {
    const error = await errorOf(call);
    expect("class", error.constructor.name, errorClass.name);
    expect("status", error.status, status);
    expectTrue("a message", error.error?.message, error.error);
    expectTrue("a request id", error.requestID?.startsWith("req_"), error.requestID);
  });
}

const chatFailing = (fault) => chat({}, { headers: { "x-mock-fail": fault } });

errorCheck(400, OpenAI.BadRequestError, () => chat({ messages: [] }));
errorCheck(401, OpenAI.AuthenticationError, () => client.withOptions({ apiKey: "sk-wrong" }).models.list());
errorCheck(404, OpenAI.NotFoundError, () => chat({ model: "no-such-model" }));
errorCheck(429, OpenAI.RateLimitError, () => chatFailing("alwaysx429"));
errorCheck(500, OpenAI.InternalServerError, () => chatFailing("alwaysx500"));

check("its own retries recover from 429", async () => {
  const item = "node-retries";
  const reply = await chat({}, { maxRetries: 3, headers: { "x-mock-fail": "2x429", "x-mock-item": item } });
  expect("finish reason", reply.choices[0].finish_reason, "stop");
  expect("statuses", (await logOf(item)).map((entry) => entry.status), [429, 429, 200]);
});

check("its own retries keep to Retry-After, which is honest", async () => {
  const item = "node-retry-after";
  // Left to itself the SDK would try again after half a second, and be refused again.
  await mock("PATCH", "settings", { rpm: 1, window: "3s" });
  try {
    await chat();
    await chat({}, { maxRetries: 3, headers: { "x-mock-item": item } });
  } finally {
    await mock("PATCH", "settings", { rpm: null });
  }
  expect("statuses", (await logOf(item)).map((entry) => entry.status), [429, 200]);
});

check("a stream closed early ends in the mock", async () => {
  const item = "node-early-close";
  await mock("POST", `gates/${item}/release`, { tokens: 2 });
  const stream = await chat({ stream: true }, { headers: { "x-mock-gate": item, "x-mock-item": item } });
  let tokens = 0;
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) tokens += 1;
    // Leaving the loop closes the stream.
    if (tokens === 2) break;
  }
  // The mock holds the third token back, so it can end only by noticing that we left.
  const limit = Date.now() + 10_000;
  while ((await logOf(item))[0].left_at_token === null && Date.now() < limit) await pause(20);
  expect("left at token", (await logOf(item))[0].left_at_token, 2);
});

let failed = 0;
for (const { name, run } of checks) {
  try {
    await run();
    console.log(`ok  node  ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  node  ${name}: ${error.name}: ${error.message}`);
  }
}
console.log(`node: openai ${VERSION}, ${checks.length - failed} of ${checks.length} checks passed`);
process.exit(failed ? 1 : 0);
