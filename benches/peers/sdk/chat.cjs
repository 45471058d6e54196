// Chat calls by OpenAI's Node SDK. src/bin/sdks.rs runs it: chat.cjs CALLS IN_FLIGHT PROMPT MODEL
//
// It needs OPENAI_BASE_URL and OPENAI_API_KEY, and prints a line of JSON: the time on the wall and the
// CPU time of this process, all threads, in seconds. chat.py is the same for Python.
//
// Not a module of the new kind (.mjs), which would look for the SDK beside itself only: NODE_PATH says
// where it is.

const assert = require("node:assert");
const { OpenAI } = require("openai");
const { VERSION } = require("openai/version");

const [calls, inFlight] = process.argv.slice(2, 4).map(Number);
const [prompt, model] = process.argv.slice(4);

// To warm up: connections, and what is compiled when it has been used for a while.
const WARM = Math.max(4 * inFlight, 500);

const request = { model, messages: [{ role: "user", content: prompt }], temperature: 0.7 };

// No retries: they would hide an error.
const client = new OpenAI({ maxRetries: 0 });

async function work(worker, calls) {
  for (let call = worker; call < calls; call += inFlight) {
    const completion = await client.chat.completions.create(request);
    assert(completion.choices[0].message.content, "every answer has a text");
  }
}

const run = (calls) => Promise.all(Array.from({ length: inFlight }, (_, worker) => work(worker, calls)));

async function main() {
  await run(WARM);
  const [started, before] = [performance.now(), process.cpuUsage()];
  await run(calls);
  const { user, system } = process.cpuUsage(before);
  const wall = (performance.now() - started) / 1e3;
  const version = `openai ${VERSION}, Node ${process.versions.node}`;
  console.log(JSON.stringify({ wall, cpu: (user + system) / 1e6, version }));
}

main();
