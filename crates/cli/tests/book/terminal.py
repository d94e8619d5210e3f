"""Runs a command on a terminal and types the answers that a transcript has: terminal.py TRANSCRIPT COMMAND…"""

import os
import pty
import sys

# For questions that the transcript does not show, by how they begin.
USUAL = {"Models to choose from": "1,2", "Which one do you use today?": "1", "Price of gpt-4o ": "2.5,10", "Price of": "0.15,0.6"}

with open(sys.argv[1]) as file:
    transcript = file.read().splitlines()


def answer(question):
    for place, line in enumerate(transcript):
        if line.startswith(question):
            del transcript[: place + 1]
            return line[len(question) :].strip()
    return next((said for begin, said in USUAL.items() if question.startswith(begin)), "")


child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = ""
while True:
    try:
        piece = os.read(terminal, 65536).decode()
    except OSError:
        break
    if not piece:
        break
    shown += piece
    sys.stdout.write(piece.replace("\r", ""))
    line = shown.rsplit("\n", 1)[-1]
    # A question waits at the end of its line; the echo of an answer ends with a line's end.
    if line.endswith(": "):
        os.write(terminal, (answer(line.rstrip()) + "\n").encode())
        shown = ""
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
