// The official Node client against a server of an encoder.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.HONE_BASE_URL + "/v1", apiKey: process.env.HONE_API_KEY ?? "none-needed", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const texts = ["A cat sat on the mat.", "A kitten rested on the rug.", "Stock prices fell sharply on Monday."];
const embed = async (input, more = {}) => (await client.embeddings.create({ model, input, ...more })).data.map((d) => d.embedding);

test("the formats agree", async () => {
  const packed = await embed(texts); // the client asks for base64 by itself
  const plain = await embed(texts, { encoding_format: "float" });
  assert.deepEqual(packed, plain.map((v) => v.map(Math.fround)));
});

test("alone equals together", async () => {
  const together = await embed(texts);
  for (let i = 0; i < texts.length; i++) assert.deepEqual((await embed(texts[i]))[0], together[i]);
});

test("errors", async () => {
  await assert.rejects(embed("a", { dimensions: 3 }), OpenAI.BadRequestError);
  await assert.rejects(embed(""), OpenAI.BadRequestError);
  await assert.rejects(client.chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] }), /encoder/);
});
