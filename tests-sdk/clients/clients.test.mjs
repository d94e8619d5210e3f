// The AI SDK and LangChain.js, set up as docs/clients.md says: answers, streams, and loops with a tool.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

import { Rig } from './processes.mjs';

const KEY = 'sk-client';
const ASKED = 'Hello there, gateway';
const ANSWER = `You said: ${ASKED}`;
const PROTOCOLS = ['chat', 'responses', 'anthropic', 'gemini'];

const rig = new Rig();
let ways;

before(async () => {
  await rig.start();
  const openai = createOpenAI({ baseURL: `${rig.url}/v1`, apiKey: KEY });
  const anthropic = createAnthropic({ baseURL: `${rig.url}/v1`, apiKey: KEY });
  // The first is what the SDK does by default; it takes the answers to be kept, and refers to their items.
  ways = { responses: (name) => openai(name), chat: (name) => openai.chat(name), messages: (name) => anthropic(name) };
});
after(() => rig.stop());
beforeEach(() => rig.forget());

// The scripted model calls a shell of this name where it is told to use it, and says what it has said.
const TOLD = 'Now use your tool';
const command = z.object({ command: z.string(), description: z.string() });
const shell = ({ command }) => `ran ${command}`;
const TOOL_SAID = /^The tool said: ran echo made by a tool/;
const tools = { Bash: tool({ description: 'Runs a command.', inputSchema: command, execute: shell }) };

for (const way of ['responses', 'chat', 'messages']) {
  test(`AI SDK, ${way}`, async () => {
    for (const model of ['auto:mixed', ...PROTOCOLS.map((protocol) => `${protocol}/ok`)]) {
      const whole = await generateText({ model: ways[way](model), prompt: ASKED });
      assert.equal(whole.text, ANSWER, model);
      const messages = [{ role: 'user', content: ASKED }, ...whole.response.messages, { role: 'user', content: ASKED }];
      const again = await generateText({ model: ways[way](model), messages });
      assert.equal(again.text, ANSWER, `the second turn of ${model}`);
      const stream = streamText({ model: ways[way](model), messages });
      let text = '';
      for await (const piece of stream.textStream) text += piece;
      assert.equal(text, ANSWER, `the stream of ${model}`);
    }
    for (const protocol of PROTOCOLS) {
      const loop = await generateText({ model: ways[way](`${protocol}/agent`), prompt: TOLD, tools, stopWhen: stepCountIs(3) });
      assert.match(loop.text, TOOL_SAID, protocol);
    }
  });
}

for (const useResponsesApi of [false, true]) {
  test(`LangChain.js, ${useResponsesApi ? 'responses' : 'chat'}`, async () => {
    const bash = langchainTool(shell, { name: 'Bash', description: 'Runs a command.', schema: command });
    const make = (model) => new ChatOpenAI({ model, apiKey: KEY, useResponsesApi, configuration: { baseURL: `${rig.url}/v1` } });
    for (const model of ['auto:mixed', ...PROTOCOLS.map((protocol) => `${protocol}/ok`)]) {
      assert.equal((await make(model).invoke(ASKED)).text, ANSWER, model);
      let text = '';
      for await (const piece of await make(model).stream(ASKED)) text += piece.text;
      assert.equal(text, ANSWER, model);
    }
    for (const protocol of PROTOCOLS) {
      const bound = make(`${protocol}/agent`).bindTools([bash]);
      const first = await bound.invoke([new HumanMessage(TOLD)]);
      const results = first.tool_calls.map(({ id, name, args }) => new ToolMessage({ content: shell(args), tool_call_id: id, name }));
      const last = await bound.invoke([new HumanMessage(TOLD), first, ...results]);
      assert.match(last.text, TOOL_SAID, protocol);
    }
  });
}
