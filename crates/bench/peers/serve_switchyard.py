"""Switchyard's server from its wheel; prints where it listens and serves until its standard input closes."""

import sys

from switchyard_rust.server import Server

with Server(sys.argv[1]) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
