"""The client of README.md, as it stands there."""

import re
from pathlib import Path

import openai

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_asks_and_rates(base_url, upstream):
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "http://127.0.0.1:8080/v1" in block
    names = {"OpenAI": openai.OpenAI}
    exec(block.replace("http://127.0.0.1:8080/v1", base_url), names)
    assert names["answer"].id.startswith("chatcmpl-") and names["answer"].usage.cost > 0
    assert len(upstream.requests()) == 1
