// The official Node client against a server of a language model.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const BASE = process.env.HONE_BASE_URL; // such as http://127.0.0.1:8080
const KEY = process.env.HONE_API_KEY ?? "none-needed";
const client = new OpenAI({ baseURL: BASE + "/v1", apiKey: KEY, maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;

const ask = (more = {}) =>
  client.chat.completions.create({ model, messages: [{ role: "user", content: "Name three colours." }], max_tokens: 24, temperature: 0, ...more });

const whole = (reply) => {
  const c = reply.choices[0];
  return { text: c.message.content, logprobs: c.logprobs?.content ?? [], finish: c.finish_reason };
};

const joined = async (stream) => {
  const out = { text: "", logprobs: [], finish: null };
  for await (const chunk of stream) {
    for (const c of chunk.choices) {
      out.text += c.delta.content ?? "";
      out.logprobs.push(...(c.logprobs?.content ?? []));
      out.finish = c.finish_reason ?? out.finish;
    }
  }
  return out;
};

const metrics = async () => {
  const text = await (await fetch(BASE + "/metrics", { headers: { Authorization: "Bearer " + KEY } })).text();
  const out = {};
  for (const line of text.split("\n").filter((l) => l && !l.startsWith("#"))) {
    const at = line.lastIndexOf(" ");
    const name = line.slice(0, at).split("{")[0];
    out[name] = (out[name] ?? 0) + Number(line.slice(at + 1));
  }
  return out;
};

const eventually = async (what, ok, seconds = 5) => {
  for (const end = Date.now() + seconds * 1000; !(await ok()); ) {
    assert.ok(Date.now() < end, "never happened: " + what);
    await new Promise((done) => setTimeout(done, 10));
  }
};

test("models", async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
});

test("a stream equals the whole reply", async () => {
  for (const temperature of [0, 1]) {
    const same = { temperature, seed: 7, logprobs: true, top_logprobs: 2 };
    assert.deepEqual(await joined(await ask({ ...same, stream: true })), whole(await ask(same)));
  }
});

test("usage at the end of a stream", async () => {
  const chunks = [];
  for await (const c of await ask({ stream: true, stream_options: { include_usage: true } })) chunks.push(c);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + last.usage.completion_tokens);
  assert.ok(chunks.every((c) => c.usage === null));
});

test("the stream helper", async () => {
  const helper = client.chat.completions.stream({ model, messages: [{ role: "user", content: "Name three colours." }], max_tokens: 24, temperature: 0 });
  const final = await helper.finalChatCompletion();
  assert.equal(final.choices[0].message.content, (await ask()).choices[0].message.content);
});

test("choices", async () => {
  const reply = await ask({ n: 3, temperature: 1, seed: 11 });
  const texts = reply.choices.map((c) => c.message.content);
  assert.equal(new Set(texts).size, 3);
  assert.equal(texts[0], (await ask({ temperature: 1, seed: 11 })).choices[0].message.content);
});

test("stop strings", async () => {
  const free = (await ask({ max_tokens: 40, ignore_eos: true })).choices[0].message.content;
  const stop = free.slice(free.length / 2, free.length / 2 + 3);
  const cut = whole(await ask({ max_tokens: 40, ignore_eos: true, stop: [stop] }));
  assert.deepEqual([cut.text, cut.finish], [free.slice(0, free.indexOf(stop)), "stop"]);
});

test("completions", async () => {
  const base = { model, prompt: "Once upon a time", max_tokens: 12, temperature: 0 };
  const text = (await client.completions.create(base)).choices[0].text;
  let streamed = "";
  for await (const c of await client.completions.create({ ...base, stream: true })) streamed += c.choices[0].text;
  assert.equal(streamed, text);
  const both = await client.completions.create({ ...base, prompt: [base.prompt, "In the beginning"], echo: true });
  assert.equal(both.choices[0].text, base.prompt + text);
  assert.equal(both.choices.length, 2);
});

test("errors", async () => {
  const refused = (promise, kind, param, code) =>
    assert.rejects(promise, (e) => e instanceof kind && e.param === param && e.code === code, `${param} ${code}`);
  await refused(ask({ model: "gpt-9" }), OpenAI.NotFoundError, "model", "model_not_found");
  await refused(ask({ temprature: 1 }), OpenAI.BadRequestError, "temprature", "unknown_parameter");
  await refused(ask({ temperature: 3 }), OpenAI.BadRequestError, "temperature", "invalid_value");
  await refused(ask({ tools: [{ type: "function", function: { name: "f" } }] }), OpenAI.BadRequestError, "tools", "unsupported_parameter");
  await refused(ask({ messages: [{ role: "user", content: "word ".repeat(30000) }] }), OpenAI.BadRequestError, "messages", "context_length_exceeded");
  await assert.rejects(ask({ messages: [{ role: "user", content: "x".repeat(100 << 20) }] }), (e) => e.status === 413);
});

test("a client that goes away frees its blocks", async () => {
  const idle = async () => (await metrics())["hone:kv_blocks_used"] === 0;
  await eventually("the server is idle", idle);
  const stream = await ask({ stream: true, max_tokens: 400, ignore_eos: true });
  for await (const _ of stream) break; // leaving the loop aborts the request
  stream.controller.abort();
  await eventually("the blocks are free", idle, 1);
});

test("32 requests at once equal the same alone, to the last digit", async () => {
  const request = (i) => ({
    messages: [{ role: "user", content: `Tell me ${i + 3} things about the number ${i}.` }],
    max_tokens: 64, logprobs: true, top_logprobs: 3, seed: 1000 + i, ignore_eos: true, temperature: i % 2,
  });
  const alone = [];
  for (let i = 0; i < 32; i++) alone.push(whole(await ask(request(i))));
  const before = await metrics();
  const together = await Promise.all(alone.map(async (_, i) => (i % 4 < 2 ? joined(await ask({ ...request(i), stream: true })) : whole(await ask(request(i))))));
  const after = await metrics();
  assert.deepEqual(together, alone);
  const batch = (after["hone:step_batch_size_sum"] - before["hone:step_batch_size_sum"]) / (after["hone:step_batch_size_count"] - before["hone:step_batch_size_count"]);
  console.log(`mean batch of the burst: ${batch.toFixed(1)}`);
  assert.ok(batch >= 24, `mean batch ${batch}`);
});
