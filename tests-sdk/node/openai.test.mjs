// The HTTP contract as a stock OpenAI Node SDK sees it.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import OpenAI from 'openai';

import { PATIENCE, Rig, UPSTREAM_KEY } from './processes.mjs';

const CLIENT_KEY = 'sk-client';
const ANSWER = 'You said: Hello there, gateway';
const DECISION_ID = /^chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const messages = [{ role: 'user', content: 'Hello there, gateway' }];

const rig = new Rig();
let client;

before(async () => {
  await rig.start();
  // The SDK's own retries stay on: that the gateway keeps it from them is part of the contract.
  client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: CLIENT_KEY, timeout: PATIENCE });
});
after(() => rig.stop());
beforeEach(() => rig.forget());

const requests = () => rig.requests();
const ask = (model, options = {}, request) => client.chat.completions.create({ model, messages, ...options }, request);
const rate = (body) => client.post('/feedback', { body });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const choices = (chunks) => chunks.flatMap((chunk) => chunk.choices);
const text = (chunks) => choices(chunks).map((choice) => choice.delta.content ?? '').join('');
const finishes = (chunks) => choices(chunks).map((choice) => choice.finish_reason).filter(Boolean);

/** The error that `promise` is rejected with. */
async function failure(promise, kind) {
  let error;
  await assert.rejects(promise, (raised) => ((error = raised), raised instanceof kind));
  return error;
}

for (const model of ['auto', 'auto:default', 'small', 'large']) {
  test(`plain answer: ${model}`, async () => {
    const { data, response } = await ask(model).withResponse();
    assert.match(data.id, DECISION_ID);
    assert.equal(data.id, data._request_id);
    assert.equal(data.id, response.headers.get('x-request-id'));
    assert.equal(data.choices[0].message.content, ANSWER);
    assert.match(response.headers.get('x-slarouter-upstream-id'), /^chatcmpl-up-/);
    assert.equal(response.headers.get('x-slarouter-route'), 'default');
    const decision = response.headers.get('x-slarouter-decision');
    assert.ok(model.startsWith('auto') ? ['exploit', 'explore', 'fallback', 'rerouted'].includes(decision) : decision === 'pinned', decision);
    const chosen = response.headers.get('x-slarouter-model');
    assert.equal(data.model, { small: 'ok', large: 'vendor/ok' }[chosen]);
    const [fresh, output] = { small: [0.1, 0.4], large: [2.5, 10] }[chosen];
    const cost = (data.usage.prompt_tokens * fresh + data.usage.completion_tokens * output) / 1e6;
    assert.ok(cost > 0 && Math.abs(data.usage.cost - cost) < cost * 1e-9, `${data.usage.cost} is not ${cost}`);
    assert.deepEqual(data.x_extra, { keep: 1 });
    assert.equal(data.slarouter, undefined);
  });
}

test('requests are forwarded as they are, with the upstream key', async () => {
  const extra = { x_vendor: { word: 'naïve', none: null }, top_k: 4, user: 'u-1', metadata: { team: 'a' } };
  await ask('small', extra);
  const [request, ...others] = await requests();
  assert.deepEqual(others, []);
  assert.deepEqual(JSON.parse(request.body), { model: 'ok', messages, ...extra });
  assert.equal(request.headers.authorization, `Bearer ${UPSTREAM_KEY}`);
  await ask('keyless');
  assert.equal((await requests())[1].headers.authorization, undefined);
});

for (const model of ['auto', 'small', 'crlf-model', 'split-model']) {
  test(`stream: ${model}`, async () => {
    const { data, response } = await ask(model, { stream: true }).withResponse();
    const chunks = await collect(data);
    assert.match(chunks[0].id, DECISION_ID);
    assert.deepEqual(new Set(chunks.map((chunk) => chunk.id)), new Set([response.headers.get('x-request-id')]));
    assert.match(response.headers.get('x-slarouter-upstream-id'), /^chatcmpl-up-/);
    assert.equal(text(chunks), ANSWER);
    assert.deepEqual(finishes(chunks), ['stop']);
    assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length === 1), 'nobody asked for usage');
    assert.ok(chunks.every((chunk) => chunk.x_extra.keep === 1));
  });
}

test('usage comes on the last chunk when asked for', async () => {
  const chunks = await collect(await ask('large', { stream: true, stream_options: { include_usage: true } }));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.prompt_tokens_details.cached_tokens, 4);
  assert.ok(last.usage.cost > 0);
  assert.ok(chunks.every((chunk) => !chunk.usage));
});

test('tool calls', async () => {
  const called = (calls) => calls.map((call) => [call.id, call.function.name, call.function.arguments]);
  const expected = [
    ['call_up_0', 'get_weather', '{"city": "Lima"}'],
    ['call_up_1', 'get_weather', '{"city": "Oslo"}'],
  ];
  const plain = await ask('tools-model');
  assert.equal(plain.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(called(plain.choices[0].message.tool_calls), expected);
  // The SDK's own accumulator is stricter than any loop of ours.
  const streamed = await client.chat.completions.stream({ model: 'tools-model', messages }).finalChatCompletion();
  assert.equal(streamed.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(called(streamed.choices[0].message.tool_calls), expected);
});

test('reasoning is kept', async () => {
  assert.equal((await ask('reasoning-model')).choices[0].message.reasoning_content, 'Six by seven.');
  const chunks = await collect(await ask('reasoning-model', { stream: true }));
  const thought = choices(chunks).map((choice) => choice.delta.reasoning_content ?? '').join('');
  assert.equal(thought, 'Six by seven.');
});

for (const [model, words] of [['cut-model', 'You said: '], ['eof-model', ANSWER]]) {
  test(`a broken stream never looks finished: ${model}`, async () => {
    const chunks = [];
    const reading = async () => {
      for await (const chunk of await ask(model, { stream: true })) chunks.push(chunk);
    };
    await failure(reading(), OpenAI.APIError);
    assert.equal(text(chunks), words);
    assert.deepEqual(finishes(chunks), []);
    assert.equal((await requests()).length, 1);
  });
}

test('an error event of the upstream is kept', async () => {
  const error = await failure(ask('error-event-model', { stream: true }).then(collect), OpenAI.APIError);
  assert.match(error.message, /shutting down/);
});

for (const [model, kind, status, type, code, sent] of [
  ['limited', OpenAI.RateLimitError, 429, 'requests', 'rate_limit_exceeded', 1],
  ['too-long', OpenAI.BadRequestError, 400, 'invalid_request_error', 'context_length_exceeded', 1],
  ['bad-key', OpenAI.AuthenticationError, 401, 'invalid_request_error', 'invalid_api_key', 1],
  // The gateway's one retry and none of the SDK's.
  ['err-a', OpenAI.InternalServerError, 500, 'server_error', null, 2],
]) {
  for (const stream of [false, true]) {
    test(`error of a pinned model: ${model}, stream: ${stream}`, async () => {
      // Waiting as long as the provider asks to is left to the SDK, and is not of interest here.
      const error = await failure(ask(model, { stream }, { maxRetries: status === 429 ? 0 : 2 }), kind);
      assert.deepEqual([error.status, error.type, error.code], [status, type, code]);
      assert.equal(error.headers.get('retry-after'), status === 429 ? '7' : null);
      assert.equal(error.headers.get('x-should-retry'), String(status === 429));
      assert.match(error.requestID, DECISION_ID);
      assert.equal((await requests()).length, sent);
    });
  }
}

for (const model of ['refusing', 'half-json', 'cut-model']) {
  test(`no answer is no success: ${model}`, async () => {
    const error = await failure(ask(model), OpenAI.InternalServerError);
    assert.equal(error.status, 502);
    assert.equal((await requests()).length, 2);
  });
}

test('unknown model', async () => {
  const error = await failure(ask('no-such-model'), OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
  assert.deepEqual(await requests(), []);
});

for (const stream of [false, true]) {
  test(`reroute, stream: ${stream}`, async () => {
    const { data, response } = await ask('auto:flaky', { stream }).withResponse();
    assert.equal(response.headers.get('x-slarouter-decision'), 'rerouted');
    assert.equal(response.headers.get('x-slarouter-model'), 'large');
    assert.equal(response.headers.get('x-slarouter-route'), 'flaky');
    assert.equal(stream ? text(await collect(data)) : data.choices[0].message.content, ANSWER);
  });
}

test('metadata on request', async () => {
  const headers = { 'x-slarouter-metadata': 'enabled' };
  const plain = await ask('auto', {}, { headers });
  const chunks = await collect(await ask('auto', { stream: true }, { headers }));
  const last = chunks.pop();
  assert.ok(chunks.every((chunk) => !('slarouter' in chunk)));
  for (const { slarouter } of [plain, last]) {
    assert.equal(slarouter.route, 'default');
    assert.equal(slarouter.alpha, 0.9);
    assert.equal(slarouter.attempts, 1);
    assert.ok(slarouter.propensity > 0 && slarouter.propensity <= 1);
    assert.deepEqual(slarouter.candidates.map((candidate) => candidate.model).sort(), ['large', 'small']);
  }
});

test('models', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  for (const name of ['auto', 'auto:default', 'auto:flaky', 'small', 'large']) {
    assert.ok(names.includes(name), name);
    assert.equal((await client.models.retrieve(name)).id, name);
  }
  await failure(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
});

test('feedback: recorded, duplicate, replaced, withdrawn', async () => {
  const { id } = await ask('auto');
  for (const [rating, status] of [['up', 'recorded'], [true, 'duplicate'], [0, 'replaced'], [null, 'withdrawn']]) {
    assert.deepEqual(await rate({ id, rating }), { id, status });
  }
  const { id: other } = await ask('auto');
  assert.equal((await rate({ inference_id: other, value: 0.5 })).status, 'recorded');
  const { response } = await client.post('/feedback', { body: { id: other, rating: 0.5 } }).withResponse();
  assert.equal(response.status, 202);
});

test('feedback in the middle of a stream', async () => {
  const stream = (await ask('gated-model', { stream: true }))[Symbol.asyncIterator]();
  const { value: first } = await stream.next();
  assert.equal((await rate({ id: first.id, rating: 'up' })).status, 'recorded');
  await fetch(`${rig.testkit}/open`, { method: 'POST' });
  const chunks = [first];
  for (let next = await stream.next(); !next.done; next = await stream.next()) chunks.push(next.value);
  assert.equal(text(chunks), ANSWER);
  assert.deepEqual(finishes(chunks), ['stop']);
});

test('feedback that cannot be taken', async () => {
  const { id } = await ask('auto');
  const unknown = id.slice(0, -8) + (id.endsWith('00000000') ? '00000001' : '00000000');
  await failure(rate({ id: unknown, rating: 'up' }), OpenAI.NotFoundError);
  for (const [body, param] of [
    [{ id: 'nonsense', rating: 'up' }, 'id'],
    [{ rating: 'up' }, 'id'],
    [{ id, rating: 'good' }, 'rating'],
    [{ id, rating: 2 }, 'rating'],
    [{ id }, 'rating'],
  ]) {
    assert.equal((await failure(rate(body), OpenAI.BadRequestError)).param, param);
  }
});
