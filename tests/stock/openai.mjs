// OpenAI's library for Node as a client: completions and responses, streamed, stopped and resumed.

import OpenAI from 'openai';
import { run } from './lib.mjs';

/** What a response says. Not everywhere the library adds the text by itself. */
const said = response => response?.output_text ?? response?.output[0]?.content[0]?.text;

run(async world => {
  // No retries: what went wrong has to be seen.
  const client = new OpenAI({ apiKey: world.key, baseURL: `${world.url}/v1`, maxRetries: 0 });
  const model = 'default';
  const messages = [{ role: 'user', content: 'What is AI?' }];
  const refusal = async act => {
    try {
      return await act();
    } catch (error) {
      return { kind: error.constructor.name, status: error.status, code: error.code, param: error.param };
    }
  };

  const models = [];
  for await (const one of client.models.list()) models.push(one.id);
  const retrieved = await client.models.retrieve(models.at(-1));

  const whole = await client.chat.completions.create({ model, messages });
  let streamed = '';
  let usage = null;
  const chunks = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of chunks) {
    streamed += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  const helper = client.chat.completions.stream({ model, messages, metadata: { conversation: 'from-node' } });
  const helped = await helper.finalChatCompletion();

  const response = await client.responses.create({ model, input: 'one two' });
  const next = await client.responses.create({ model, input: 'three', previous_response_id: response.id });

  // The connection is given up in the middle, and another one goes on.
  const input = Array(world.words).fill('word').join(' ');
  const events = await client.responses.create({ model, input, stream: true });
  const heard = { id: null, after: 0, text: '' };
  for await (const event of events) {
    heard.after = event.sequence_number;
    if (event.type === 'response.created') heard.id = event.response.id;
    if (event.type === 'response.output_text.delta') heard.text += event.delta;
    if (heard.text.length > 20) break;
  }
  const before = heard.text;
  const rest = await client.responses.retrieve(heard.id, { stream: true, starting_after: heard.after });
  for await (const event of rest) {
    if (event.type === 'response.output_text.delta') heard.text += event.delta;
    if (event.type === 'response.completed') heard.completed = said(event.response);
  }
  const again = client.responses.stream({ response_id: heard.id });
  const final = await again.finalResponse();

  // In the background, stopped.
  const background = await client.responses.create({ model, input: `${input} ${input}`, background: true });
  const follower = await client.responses.retrieve(background.id, { stream: true });
  const stopped = { begun: background.status };
  let isCancelled = false;
  for await (const event of follower) {
    if (event.type === 'response.output_text.delta' && !isCancelled) {
      isCancelled = true;
      stopped.response = await client.responses.cancel(background.id);
    }
    stopped.last = event.type;
  }
  stopped.kept = await client.responses.retrieve(background.id);

  const stranger = new OpenAI({ apiKey: 'sk-nobody', baseURL: `${world.url}/v1`, maxRetries: 0 });
  return {
    models, retrieved: retrieved.id,
    whole: whole.choices[0].message.content,
    streamed, usage, helped: helped.choices[0].message.content,
    response: response.output_text, next: next.output_text,
    conversations: [response.conversation.id, next.conversation.id],
    before, heard, final: said(final),
    stopped: {
      begun: stopped.begun, last: stopped.last, status: stopped.response?.status,
      text: said(stopped.response), kept: [stopped.kept.status, said(stopped.kept)],
    },
    refused: {
      stranger: await refusal(() => stranger.models.list()),
      model: await refusal(() => client.chat.completions.create({ model: 'gpt-4o', messages })),
      field: await refusal(() => client.chat.completions.create({ model, messages: [{ role: 'nobody', content: 'x' }] })),
      response: await refusal(() => client.responses.retrieve('resp_00000000000000000000000000000000')),
    },
  };
});
