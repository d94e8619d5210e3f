// The gateway and the scripted upstream as processes, for tests with real clients.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const UPSTREAM_KEY = 'sk-upstream';
// A guard against a hang, not a measure.
export const PATIENCE = 60_000;

/** Starts a process; returns it with the JSON object of its first line. */
async function start(variable, args, env) {
  const binary = process.env[variable];
  assert.ok(binary, `${variable} must name a binary`);
  const child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  const guard = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(guard);
    child.stdout.resume();
    return { child, ready: JSON.parse(line) };
  }
  clearTimeout(guard);
  throw new Error(`${binary} did not start`);
}

async function stopped(child, stop) {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, 'exit');
  stop(child);
  const guard = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  const [code] = await exit;
  clearTimeout(guard);
  return code;
}

/** The two processes, the gateway with the configuration that `GATEWAY_TOML` names, in a folder of their own. */
export class Rig {
  async start() {
    this.upstream = await start('TESTKIT_UPSTREAM_BIN', []);
    const base = this.upstream.ready.base_url;
    this.testkit = base.replace(/\/v1$/, '/testkit');
    this.folder = await mkdtemp(join(tmpdir(), 'slarouter-sdk-'));
    const template = await readFile(process.env.GATEWAY_TOML, 'utf8');
    const config = join(this.folder, 'gateway.toml');
    await writeFile(config, template.replaceAll('@UPSTREAM@', base).replaceAll('@DIR@', this.folder));
    this.gateway = await start('SLAROUTER_BIN', ['serve', '--config', config], { UPSTREAM_KEY });
    this.url = `http://${this.gateway.ready.listening}`;
  }

  async stop() {
    // Both are stopped before anything is asserted, so that a failure leaves nothing running.
    const gatewayCode = this.gateway && (await stopped(this.gateway.child, (child) => child.kill('SIGTERM')));
    const upstreamCode = this.upstream && (await stopped(this.upstream.child, (child) => child.stdin.end()));
    if (this.folder) await rm(this.folder, { recursive: true });
    assert.deepEqual([gatewayCode, upstreamCode], [0, 0]);
  }

  /** What the upstream was asked since it forgot. */
  async requests() {
    return (await fetch(`${this.testkit}/requests`)).json();
  }

  forget() {
    return fetch(`${this.testkit}/requests`, { method: 'DELETE' });
  }
}
