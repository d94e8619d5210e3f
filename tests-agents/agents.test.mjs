// Coding agents as they are installed from npm: what they send reaches models of every protocol, and what those answer works for them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { PATIENCE, Rig } from '../tests-sdk/node/processes.mjs';

// Each model of the gateway, and where its provider is asked.
const MODELS = {
  chat: '/chat/completions',
  gemini: '/chat/completions',
  responses: '/responses',
  claude: '/messages',
};
// What the scripted upstream has the agent's shell do, and how it tells of it.
const MADE = 'made by a tool';

const rig = new Rig();
before(() => rig.start());
after(() => rig.stop());
beforeEach(() => rig.forget());

/** A folder for an agent's own files and one to work in, both empty. */
async function place() {
  const home = await mkdtemp(join(rig.folder, 'home-'));
  const work = join(home, 'work');
  await mkdir(work);
  return { home, work };
}

/** Runs an agent to its end, without a terminal, and without any way to the network. */
async function run(command, args, { home, work }, env) {
  const nowhere = 'http://127.0.0.1:9';
  const alone = { PATH: process.env.PATH, HOME: home, HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: '127.0.0.1' };
  const options = { cwd: work, env: { ...alone, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE };
  const child = spawn(join(process.env.AGENTS_BIN, command), args, options);
  let [out, err] = ['', ''];
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (err += data));
  const [code, signal] = await once(child, 'close');
  assert.deepEqual([code, signal], [0, null], `${command} ${args.join(' ')}\n${out}\n${err}`);
  return { out, err };
}

class ClaudeCode {
  async prepare(model, at) {
    this.at = at;
    this.model = model;
  }

  run(args) {
    return run('claude', ['--model', this.model, '--allowedTools', 'Bash', ...args], this.at, {
      ANTHROPIC_BASE_URL: rig.url,
      ANTHROPIC_API_KEY: 'sk-client',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      DISABLE_ERROR_REPORTING: '1',
      DISABLE_TELEMETRY: '1',
    });
  }

  ask(prompt) {
    return this.run(['-p', prompt]);
  }

  goOn(prompt) {
    return this.run(['-c', '-p', prompt]);
  }

  /** Puts a summary in the place of the conversation, and goes on from there. */
  async compact(prompt) {
    await this.goOn('/compact');
    return this.goOn(prompt);
  }
}

class Codex {
  async prepare(model, at) {
    this.at = at;
    this.model = model;
    this.home = join(at.home, 'codex');
    await mkdir(this.home);
    const provider = `name = "SLARouter"\nbase_url = "${rig.url}/v1"\nwire_api = "responses"\nenv_key = "SLAROUTER_KEY"\n`;
    const quiet = 'check_for_update_on_startup = false\n[analytics]\nenabled = false\n[feedback]\nenabled = false\n';
    const config = `model_provider = "slarouter"\n${quiet}[model_providers.slarouter]\n${provider}`;
    await writeFile(join(this.home, 'config.toml'), config);
  }

  run(args) {
    // It works in an empty folder of the test's own.
    const free = ['--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox'];
    const env = { CODEX_HOME: this.home, SLAROUTER_KEY: 'sk-client' };
    return run('codex', ['exec', ...free, '--model', this.model, ...args], this.at, env);
  }

  ask(prompt) {
    return this.run([prompt]);
  }

  goOn(prompt) {
    return this.run(['resume', '--last', prompt]);
  }

  /** It compacts by itself once the conversation is over a limit. */
  async compact(prompt) {
    const said = await this.run(['-c', 'model_auto_compact_token_limit=10', 'resume', '--last', prompt]);
    assert.match(said.err, /context compacted/);
    return said;
  }
}

/** Which models were asked, how often. */
async function asked() {
  const counts = {};
  for (const { path, body } of await rig.requests()) {
    const model = JSON.parse(body).model.replace(/\/agent$/, '');
    assert.ok(path.endsWith(MODELS[model]), `${model} was asked at ${path}`);
    counts[model] = (counts[model] ?? 0) + 1;
  }
  return counts;
}

for (const Agent of [ClaudeCode, Codex]) {
  for (const model of [...Object.keys(MODELS), 'auto']) {
    test(`${Agent.name} with ${model}: a tool, a turn that follows, compaction`, async () => {
      const [at, agent] = [await place(), new Agent()];
      await agent.prepare(model, at);
      const first = await agent.ask('use your tool');
      assert.match(first.out, new RegExp(`The tool said: [^]*${MADE}`));
      assert.equal(await readFile(join(at.work, 'made.txt'), 'utf8'), `${MADE}\n`);
      const second = await agent.goOn('and now');
      assert.match(second.out, /You said: and now/);
      const before = Object.values(await asked()).reduce((sum, count) => sum + count, 0);
      assert.ok(before >= 3, 'a call, its result, and the turn that follows');
      const third = await agent.compact('after all');
      assert.match(third.out, /You said: after all/);
      const counts = await asked();
      assert.ok(Object.values(counts).reduce((sum, count) => sum + count, 0) >= before + 2, 'a summary and the turn after it');
      if (model !== 'auto') assert.deepEqual(Object.keys(counts), [model]);
      await rm(at.home, { recursive: true });
    });
  }

  // Drawn at random, one of four models is missing after 32 calls once in 2,500 runs at most; the loop ends as soon as none is.
  test(`${Agent.name} with auto: every model gets its share`, async () => {
    const [at, agent] = [await place(), new Agent()];
    await agent.prepare('auto', at);
    let counts = {};
    const missing = () => Object.keys(MODELS).filter((model) => !counts[model]);
    for (let session = 0; session < 16 && missing().length > 0; session += 1) {
      await agent.ask('use your tool');
      counts = await asked();
    }
    assert.deepEqual(missing(), [], JSON.stringify(counts));
  });
}

test('no request has excluded a model', async () => {
  const metrics = await (await fetch(`${rig.url}/metrics`)).text();
  assert.match(metrics, /slarouter_requests_total\{/);
  assert.ok(!metrics.includes('slarouter_excluded_total{'), metrics.match(/slarouter_excluded_total\{.*/)?.[0]);
});
