"""TensorZero's gateway from its wheel; prints where it listens and serves until its standard input closes."""

import sys

from tensorzero.tensorzero import _start_http_gateway

gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
sys.stdin.read()
