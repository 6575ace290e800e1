"""The official Python client against a server of an encoder."""

import unittest

import openai

from hone_client import MODEL, client

TEXTS = ["A cat sat on the mat.", "A kitten rested on the rug.", "Stock prices fell sharply on Monday."]


def embed(texts, **more):
    return [d.embedding for d in client.embeddings.create(model=MODEL, input=texts, **more).data]


class Embeddings(unittest.TestCase):
    def test_formats_agree(self):
        packed = embed(TEXTS)  # the client asks for base64 by itself
        plain = embed(TEXTS, encoding_format="float")
        for a, b in zip(packed, plain):
            self.assertEqual([float(x) for x in a], [round_to_float32(x) for x in b])

    def test_alone_equals_together(self):
        together = embed(TEXTS, encoding_format="float")
        alone = [embed(t, encoding_format="float")[0] for t in TEXTS]
        self.assertEqual(together, alone)

    def test_reply(self):
        reply = client.embeddings.create(model=MODEL, input=TEXTS)
        self.assertEqual([d.index for d in reply.data], [0, 1, 2])
        self.assertEqual(reply.usage.prompt_tokens, reply.usage.total_tokens)
        width = len(reply.data[0].embedding)
        self.assertEqual(embed(TEXTS, dimensions=width), [d.embedding for d in reply.data])

    def test_ids(self):
        self.assertEqual(len(embed([[10, 11], [12]])), 2)
        self.assertEqual(embed([10, 11]), embed([[10, 11]]))

    def test_errors(self):
        for more in (dict(dimensions=3), dict(input=""), dict(input=["a", ""]), dict(extra_body={"inputs": 1}), dict(input="word " * 20000)):
            with self.assertRaises(openai.BadRequestError):
                client.embeddings.create(**{"model": MODEL, "input": "a", **more})
        with self.assertRaises(openai.NotFoundError):
            client.embeddings.create(model="other", input="a")
        with self.assertRaises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        self.assertIn("encoder", caught.exception.message)


def round_to_float32(x):
    import struct

    return struct.unpack("<f", struct.pack("<f", x))[0]


if __name__ == "__main__":
    unittest.main()
