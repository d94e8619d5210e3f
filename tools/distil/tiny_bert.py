#!/usr/bin/env python3
"""Prints the numbers that crates/text/tests/bert.rs compares with: a tiny BERT with made-up weights, in numpy.

    pip install numpy==2.* safetensors --no-deps
    python tools/distil/tiny_bert.py [MODEL_FOLDER]

With the folder of all-MiniLM-L6-v2, also the starts of its sentence vectors of the texts in that test.
"""

import pathlib
import sys

import numpy as np

import distil

HIDDEN, INNER, WORDS, PLACES = 8, 16, 13, 10


def tiny():
    """The tensors in the order of their numbers; the test makes the same."""
    state = 1

    def numbers(count):
        nonlocal state
        out = []
        for _ in range(count):
            state = (state * 1664525 + 1013904223) % 2**32
            out.append((state >> 8) / 2**24 - 0.5)
        return np.array(out, dtype=np.float64)

    w = {}

    def tensor(name, *shape):
        w[name] = numbers(int(np.prod(shape))).reshape(shape)

    def norm(name):
        w[name + ".weight"] = 1 + numbers(HIDDEN)
        w[name + ".bias"] = numbers(HIDDEN)

    def linear(name, inputs, outputs):
        tensor(name + ".weight", outputs, inputs)
        tensor(name + ".bias", outputs)

    tensor("embeddings.word_embeddings.weight", WORDS, HIDDEN)
    tensor("embeddings.position_embeddings.weight", PLACES, HIDDEN)
    tensor("embeddings.token_type_embeddings.weight", 2, HIDDEN)
    norm("embeddings.LayerNorm")
    for layer in range(2):
        p = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            linear(p + "attention.self." + part, HIDDEN, HIDDEN)
        linear(p + "attention.output.dense", HIDDEN, HIDDEN)
        norm(p + "attention.output.LayerNorm")
        linear(p + "intermediate.dense", HIDDEN, INNER)
        linear(p + "output.dense", INNER, HIDDEN)
        norm(p + "output.LayerNorm")
    return w


def sentence(w, ids):
    mean = distil.encode(w, np.array([ids]))[0].mean(0)
    return mean / np.linalg.norm(mean)


def main():
    distil.LAYERS, distil.HEADS = 2, 2
    w = tiny()
    for ids in ([2, 4, 5, 6, 3], [2, 3], [2, 7, 7, 7, 7, 7, 7, 7, 7, 3]):
        print(ids, np.array2string(sentence(w, ids), separator=", ", precision=6, max_line_width=200))
    if len(sys.argv) > 1:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        distil.LAYERS, distil.HEADS = 6, 12
        folder = pathlib.Path(sys.argv[1])
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        w = load_file(folder / "model.safetensors")
        for text in ("How do I sort a list in Python?", "Schreibe ein Gedicht über den Mond. " * 40):
            tokenizer.no_truncation()
            ids = tokenizer.encode(text).ids
            ids = ids if len(ids) <= 256 else ids[:255] + [102]
            print(len(ids), np.array2string(sentence(w, ids)[:8], separator=", ", precision=6, max_line_width=200))


if __name__ == "__main__":
    main()
