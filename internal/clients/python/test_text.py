"""The official Python client against a server of a language model."""

import asyncio
import http.client
import unittest
import urllib.parse

import openai

from hone_client import BASE, MODEL, async_client, batch_since, chat, client, eventually, joined, metrics, whole

ASK = [{"role": "user", "content": "Name three colours."}]


def ask(**more):
    return client.chat.completions.create(**{"model": MODEL, "messages": ASK, "max_tokens": 24, "temperature": 0, **more})


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        listed = client.models.list().data
        self.assertEqual(client.models.retrieve(listed[0].id).id, listed[0].id)
        self.assertEqual(listed[0].object, "model")
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("no-such-model")


class Chat(unittest.TestCase):
    def test_whole(self):
        reply = ask()
        self.assertEqual(reply.object, "chat.completion")
        self.assertEqual(reply.model, MODEL)
        self.assertEqual(reply.choices[0].message.role, "assistant")
        self.assertIn(reply.choices[0].finish_reason, ("stop", "length"))
        use = reply.usage
        self.assertEqual(use.total_tokens, use.prompt_tokens + use.completion_tokens)
        self.assertLessEqual(use.completion_tokens, 24)
        self.assertIsNotNone(use.prompt_tokens_details.cached_tokens)

    def test_stream_equals_whole(self):
        for temperature in (0, 1):
            same = dict(temperature=temperature, seed=7, logprobs=True, top_logprobs=2)
            chunks = list(ask(stream=True, stream_options={"include_usage": True}, **same))
            self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
            self.assertEqual(chunks[-1].choices, [])
            self.assertGreater(chunks[-1].usage.completion_tokens, 0)
            self.assertTrue(all(c.usage is None for c in chunks[:-1]))
            self.assertEqual(len({c.id for c in chunks}), 1)
            self.assertEqual(joined(chunks), whole(ask(**same)))

    def test_logprobs(self):
        reply = ask(logprobs=True, top_logprobs=5)
        tokens = reply.choices[0].logprobs.content
        spelled = b"".join(bytes(t.bytes) for t in tokens)
        self.assertEqual(spelled.decode("utf-8", "replace"), reply.choices[0].message.content)
        for t in tokens:
            self.assertEqual(len(t.top_logprobs), 5)
            self.assertEqual((t.token, t.logprob), (t.top_logprobs[0].token, t.top_logprobs[0].logprob))  # greedy
            ranks = [u.logprob for u in t.top_logprobs]
            self.assertEqual(ranks, sorted(ranks, reverse=True))
            self.assertLessEqual(max(ranks), 0)

    def test_choices(self):
        reply = ask(n=3, temperature=1, seed=11)
        self.assertEqual([c.index for c in reply.choices], [0, 1, 2])
        texts = [c.message.content for c in reply.choices]
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(texts[0], ask(temperature=1, seed=11).choices[0].message.content)
        streamed = {}
        for chunk in ask(n=3, temperature=1, seed=11, stream=True):
            for c in chunk.choices:
                streamed[c.index] = streamed.get(c.index, "") + (c.delta.content or "")
        self.assertEqual([streamed[i] for i in range(3)], texts)

    def test_seeds(self):
        text = lambda seed: ask(temperature=1, seed=seed).choices[0].message.content
        self.assertEqual(text(5), text(5))
        self.assertGreater(len({text(seed) for seed in range(5)}), 1)

    def test_stop(self):
        free = ask(max_tokens=40, extra_body={"ignore_eos": True}).choices[0].message.content
        stop = free[len(free) // 2 : len(free) // 2 + 3]
        for stream in (False, True):
            reply = ask(max_tokens=40, stop=[stop, "\0"], stream=stream, extra_body={"ignore_eos": True})
            if stream:
                text, _, finish = joined(reply)
            else:
                text, finish = reply.choices[0].message.content, reply.choices[0].finish_reason
            self.assertEqual((text, finish), (free[: free.index(stop)], "stop"))

    def test_length(self):
        reply = ask(max_completion_tokens=5, max_tokens=5, extra_body={"ignore_eos": True})
        self.assertEqual((reply.choices[0].finish_reason, reply.usage.completion_tokens), ("length", 5))

    def test_roles_and_parts(self):
        parts = [{"type": "text", "text": "Name three colours."}]
        plain = ask(messages=[{"role": "system", "content": "Be brief."}, *ASK])
        newer = ask(messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}])
        self.assertEqual(plain.choices[0].message.content, newer.choices[0].message.content)
        answer = plain.choices[0].message
        ask(messages=[*ASK, answer, {"role": "user", "content": "Go on."}])  # an answer is taken back as it came

    def test_prefix_is_counted(self):
        long = [{"role": "user", "content": "One two three four. " * 20}]
        first = ask(messages=long)
        again = ask(messages=long)
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(first.choices[0].message.content, again.choices[0].message.content)


class Completions(unittest.TestCase):
    def ask(self, **more):
        return client.completions.create(**{"model": MODEL, "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0, **more})

    def test_prompts(self):
        one = self.ask().choices[0].text
        two = self.ask(prompt=["Once upon a time", "In the beginning"])
        self.assertEqual([c.index for c in two.choices], [0, 1])
        self.assertEqual(two.choices[0].text, one)
        ids = self.ask(prompt=[[10, 11, 12], [13]])
        self.assertEqual(len(ids.choices), 2)
        self.assertEqual(ids.usage.prompt_tokens, 4)
        self.assertEqual(self.ask(prompt=[10, 11, 12]).choices[0].text, ids.choices[0].text)

    def test_stream(self):
        text = ""
        for chunk in self.ask(stream=True):
            text += chunk.choices[0].text
        self.assertEqual(text, self.ask().choices[0].text)

    def test_echo(self):
        self.assertEqual(self.ask(echo=True).choices[0].text, "Once upon a time" + self.ask().choices[0].text)

    def test_logprobs(self):
        choice = self.ask(logprobs=2, extra_body={"ignore_eos": True}).choices[0]
        lp = choice.logprobs
        self.assertEqual(len(lp.tokens), 12)
        self.assertEqual({len(lp.token_logprobs), len(lp.top_logprobs), len(lp.text_offset)}, {12})
        self.assertEqual(lp.text_offset[0], 0)
        for token, logprob, top in zip(lp.tokens, lp.token_logprobs, lp.top_logprobs):
            self.assertEqual(top[token], logprob)

    def test_default_length(self):
        self.assertEqual(self.ask(max_tokens=openai.omit, extra_body={"ignore_eos": True}).usage.completion_tokens, 16)


class Errors(unittest.TestCase):
    def refused(self, kind, param, code, **more):
        with self.assertRaises(kind) as caught:
            ask(**more)
        self.assertEqual((caught.exception.param, caught.exception.code), (param, code))
        return caught.exception

    def test_bodies(self):
        bad = openai.BadRequestError
        self.refused(openai.NotFoundError, "model", "model_not_found", model="gpt-9")
        wrong = self.refused(bad, "temprature", "unknown_parameter", extra_body={"temprature": 1})
        self.assertIn("temperature", wrong.message)
        self.refused(bad, "temperature", "invalid_value", temperature=3)
        self.refused(bad, "max_tokens", "invalid_value", max_tokens=-1)
        self.refused(bad, "n", "invalid_value", n=10000)
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        self.refused(bad, "tools", "unsupported_parameter", tools=[tool])
        self.refused(bad, "response_format", "unsupported_parameter", response_format={"type": "json_object"})
        self.refused(bad, "messages", "context_length_exceeded", messages=[{"role": "user", "content": "word " * 30000}])
        self.refused(bad, "messages", "context_length_exceeded", stream=True, messages=[{"role": "user", "content": "word " * 30000}])
        ask(user="u", metadata={"a": "b"}, store=False, service_tier="auto", tools=[], parallel_tool_calls=True)  # all without effect

    def test_body_too_large(self):
        with self.assertRaises(openai.APIStatusError) as caught:
            ask(messages=[{"role": "user", "content": "x" * (100 << 20)}])
        self.assertEqual(caught.exception.status_code, 413)

    def test_invalid_utf8(self):
        url = urllib.parse.urlparse(BASE)
        c = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        c.request("POST", "/v1/completions", b'{"model":"m","prompt":"\xff"}', {"Content-Type": "application/json"})
        reply = c.getresponse()
        self.assertEqual(reply.status, 400)
        self.assertIn(b"UTF-8", reply.read())
        c.close()

    def test_no_embeddings(self):
        with self.assertRaises(openai.BadRequestError):
            client.embeddings.create(model=MODEL, input="a")


class Disconnect(unittest.TestCase):
    def test_blocks_are_freed(self):
        idle = lambda: metrics()["vllm:num_requests_running"] == 0 and metrics()["hone:kv_blocks_used"] == 0
        eventually("the server is idle", idle)
        stream = ask(stream=True, max_tokens=400, extra_body={"ignore_eos": True})
        for _ in range(5):
            next(stream)
        self.assertGreater(metrics()["hone:kv_blocks_used"], 0)
        stream.close()
        eventually("the blocks of a client that went away are free", idle, seconds=1)


class ManyAtOnce(unittest.TestCase):
    """32 requests at once give what each gives alone, to the last digit."""

    def burst(self, stream, **same):
        alone = [whole(client.chat.completions.create(**chat(i, **same))) for i in range(32)]
        before = metrics()
        together = asyncio.run(self.gather(stream, same))
        batch = batch_since(before)
        for i, (a, b) in enumerate(zip(alone, together)):
            self.assertEqual(a, b, f"request {i}")
        self.assertGreater(len({a[0] for a in alone}), 16)  # the requests differ; greedy answers to some may not
        print(f"mean batch of the burst: {batch:.1f}")
        self.assertGreaterEqual(batch, 24)

    async def gather(self, stream, same):
        async with async_client() as many:

            async def one(i):
                reply = await many.chat.completions.create(stream=stream, **chat(i, **same))
                return joined([c async for c in reply]) if stream else whole(reply)

            return await asyncio.gather(*(one(i) for i in range(32)))

    def test_temperature_0_streaming(self):
        self.burst(True, temperature=0)

    def test_temperature_1(self):
        self.burst(False, temperature=1)


if __name__ == "__main__":
    unittest.main()
