"""llama.cpp's greedy ids beside Hone's, by hand: python llama_server.py LLAMA_SERVER DIR [CASE ...]

DIR is what HONE_PEER=DIR go test ./model -run TestPeerFiles wrote. Each model gets a server of its own on a loopback port.
Ids are compared up to the first end of text, and where Hone's margin was above 0.01. Needs Python alone.
"""
import glob
import json
import os
import subprocess
import sys
import time
import urllib.request

PORT = 18613


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def serve(program, model, log):
    server = subprocess.Popen([program, "-m", model, "--port", str(PORT), "-c", "256", "-np", "1", "-t", "2", "--no-warmup", "-ctk", "f32", "-ctv", "f32", "-fa", "off"],
                              stdout=log, stderr=log)
    for _ in range(200):
        time.sleep(0.1)
        if server.poll() is not None:
            return server, False
        try:
            ask("/health")
            return server, True
        except OSError:
            pass
    return server, False


def compare(want, got):
    for i, (a, b) in enumerate(zip(want["ids"], got)):
        if a != b:
            return f"differs at {i}: {a} and {b}, margin {want['margins'][i]:.3g}" if want["margins"][i] > 0.01 else f"equal up to a margin of {want['margins'][i]:.3g} at {i}"
    return f"equal, {len(got)} ids"


def main():
    program, folder, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    for model in sorted(glob.glob(os.path.join(folder, "*.gguf"))):
        name = os.path.basename(model)[:-5]
        if names and name not in names:
            continue
        want = json.load(open(model[:-5] + ".json"))
        if want["other"]:
            name += f" (llama.cpp {want['other']})"
        with open(model[:-5] + ".log", "w") as log:
            server, up = serve(program, model, log)
            try:
                if not up:
                    print(f"{name}: does not load; see its log", flush=True)
                    continue
                reply = ask("/completion", dict(prompt=want["prompt"], n_predict=len(want["ids"]), temperature=0, samplers=["top_k"], top_k=1, return_tokens=True, cache_prompt=False))
                print(f"{name}: {compare(want, reply['tokens'])}", flush=True)
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
