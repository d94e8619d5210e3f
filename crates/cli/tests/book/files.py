"""The files that pages name: outcomes for `replay` and `compare`, and judged answers for `train`."""

import gzip
import os

MODELS = {"cheap": (0.7, 0.0001), "middle": (0.8, 0.001), "dear": (0.9, 0.01)}
header = ["prompt_id", "benchmark", "prompt"] + [f"{what}:{model}" for model in MODELS for what in ("score", "cost")]
lines = [",".join(header)]
for row in range(240):
    # A number of its own for each row and model, the same on every machine.
    cells = [f"{int((row * 7919 + place * 3571) % 1000 < share * 1000)},{cost}" for place, (share, cost) in enumerate(MODELS.values())]
    lines.append(",".join([str(row), "questions", f"Question {row}", *cells]))
text = "\n".join(lines) + "\n"
with gzip.open("outcomes.csv.gz", "wt") as file:
    file.write(text)
os.mkdir("DIR")
with open("DIR/questions.csv", "w") as file:
    file.write(text)
with open("judged.csv", "w") as file:
    file.write("prompt,model,score\n")
    file.writelines(f"Question {row},{model},{row % 3 and 1}\n" for row in range(30) for model in ("gpt-small", "gpt-large"))
