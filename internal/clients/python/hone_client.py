"""What the tests of the Python client share: the server under test and its metrics."""

import os
import time
import urllib.request

import openai

BASE = os.environ["HONE_BASE_URL"]  # such as http://127.0.0.1:8080
KEY = os.environ.get("HONE_API_KEY", "none-needed")

client = openai.OpenAI(base_url=BASE + "/v1", api_key=KEY, max_retries=0, timeout=120)


def async_client():
    return openai.AsyncOpenAI(base_url=BASE + "/v1", api_key=KEY, max_retries=0, timeout=120)


def model():
    return client.models.list().data[0].id


def get(path):
    request = urllib.request.Request(BASE + path, headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.read().decode()


def metrics():
    """All samples by name; those with labels are added up."""
    out = {}
    for line in get("/metrics").splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.split("{")[0]
            out[name] = out.get(name, 0.0) + float(value)
    return out


def batch_since(before):
    """Mean sequences of a step since an earlier look at the metrics."""
    now = metrics()
    steps = now["hone:step_batch_size_count"] - before["hone:step_batch_size_count"]
    return (now["hone:step_batch_size_sum"] - before["hone:step_batch_size_sum"]) / max(steps, 1)


def eventually(what, ok, seconds=5.0):
    end = time.monotonic() + seconds
    while not ok():
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.01)


def chat(i, **more):
    """One of many requests that differ in all that matters; the tokens are counted, not left to an end token."""
    request = dict(
        model=MODEL,
        messages=[{"role": "user", "content": f"Tell me {i + 3} things about the number {i}."}],
        max_tokens=64,
        logprobs=True,
        top_logprobs=3,
        seed=1000 + i,
        extra_body={"ignore_eos": True},
    )
    request.update(more)
    return request


def digits(logprobs):
    """Everything in a logprobs object, as it stands."""
    return [(t.token, t.bytes, t.logprob, [(u.token, u.logprob) for u in t.top_logprobs]) for t in logprobs]


def whole(reply):
    choice = reply.choices[0]
    return choice.message.content, digits(choice.logprobs.content), choice.finish_reason


def joined(chunks):
    """The same as whole, put together from the chunks of a stream."""
    text, logprobs, finish = "", [], None
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.logprobs:
                logprobs += digits(choice.logprobs.content)
            finish = choice.finish_reason or finish
    return text, logprobs, finish


MODEL = model()
