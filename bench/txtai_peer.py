"""txtai beside the product, for `peer.ts`: python txtai_peer.py MODEL_FOLDER PASSAGES FOLDER

Indexes the passages (a JSON line each: `text`, and `vector` as base64 of float32) with the product's own vectors, so
that none is embedded, saves the index to FOLDER, and serves it by txtai's own API. Prints {"url", "seconds"} when it
serves. Then answers each line of standard input: {"query", "forget", "limit"} with {"ms", "hits"}, one search in this
process (`forget` drops the query's known vector first); {"queries", "limit"} with {"recall"}, how many of the exact
nearest passages its index finds, of 1.
"""

import base64
import json
import os
import sys
import threading
import time

import numpy as np
import uvicorn
from txtai import Embeddings
from txtai.vectors.dense.onnx import ONNX

# txtai finds the model class below by this name, and has to find this module, not a second copy of it.
sys.modules["txtai_peer"] = sys.modules[__name__]


class ProductModel(ONNX):
    """txtai's own ONNX model, pooled as the product pools, with vectors that are known already: what txtai has not."""

    passages = {}
    queries = {}

    def encode(self, data, category=None):
        if category == "data":
            return np.stack([self.passages[text] for text in data])
        unknown = [text for text in data if text not in self.queries]
        if unknown:
            self.queries.update(zip(unknown, super().encode(unknown, category)))
        return np.stack([self.queries[text] for text in data])

    def pool(self, outputs, masks):
        return outputs[:, 0]


def config_of(model_folder):
    with open(os.path.join(model_folder, "mnemosyne.json"), encoding="utf-8") as file:
        settings = json.load(file)
    if settings["pooling"] != "cls":
        raise SystemExit("the peer pools by the first token only")
    return {
        "path": os.path.join(model_folder, settings.get("weights", "model.onnx")),
        "method": "txtai_peer.ProductModel",
        "maxlength": settings["maxTokens"],
        "instructions": {"query": settings.get("queryPrefix", ""), "data": ""},
        "hybrid": True,
        "content": True,
    }


def build(config, passages, path):
    with Embeddings(config) as embeddings:
        embeddings.index(read(passages))
        embeddings.save(path)
    vectors = np.stack(list(ProductModel.passages.values()))
    ProductModel.passages.clear()
    return vectors


def read(passages):
    with open(passages, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            passage = json.loads(line)
            vector = np.frombuffer(base64.b64decode(passage["vector"]), dtype=np.float32)
            ProductModel.passages[passage["text"]] = vector
            yield (number, passage["text"], None)


def serve(folder, index):
    config = os.path.join(folder, "api.yml")
    with open(config, "w", encoding="utf-8") as file:
        # JSON is YAML; the empty section makes txtai offer its search.
        json.dump({"path": index, "writable": False, "embeddings": {}}, file)
    os.environ["CONFIG"] = config
    settings = uvicorn.Config("txtai.api:app", host="127.0.0.1", port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("txtai's API did not start")
        time.sleep(0.05)
    return server.servers[0].sockets[0].getsockname()[1]


def search(question):
    if question["forget"]:
        model = application().embeddings.model
        ProductModel.queries.pop(model.prepare(question["query"], "query"), None)
    started = time.perf_counter()
    hits = application().search(question["query"], limit=question["limit"])
    return {"ms": (time.perf_counter() - started) * 1000, "hits": len(hits)}


def recall(question, vectors):
    embeddings, limit = application().embeddings, question["limit"]
    shares = []
    for query in embeddings.model.batchtransform([(None, query, None) for query in question["queries"]], "query"):
        found = {number for number, _ in embeddings.ann.search(query[np.newaxis], limit)[0]}
        nearest = np.argpartition(-(vectors @ query), limit)[:limit].tolist()
        shares.append(len(found.intersection(nearest)) / limit)
    return {"recall": sum(shares) / len(shares)}


def application():
    from txtai.api import application as served

    return served.get()


def main():
    model_folder, passages, folder = sys.argv[1:]
    index = os.path.join(folder, "index")
    started = time.perf_counter()
    vectors = build(config_of(model_folder), passages, index)
    seconds = time.perf_counter() - started
    port = serve(folder, index)
    print(json.dumps({"url": f"http://127.0.0.1:{port}", "seconds": seconds}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        found = recall(question, vectors) if "queries" in question else search(question)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
