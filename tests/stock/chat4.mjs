// Version 4 of the AI SDK: its parser of data streams, on the answers of the Neptun door.

import { processDataStream } from 'ai-v4';
import { run } from './lib.mjs';

run(async world => {
  const ask = (model, content, { key, signal } = {}) => fetch(`${world.url}/api/ai/${model}/chat?chat_id=${world.chat}`, {
    method: 'POST',
    headers: { cookie: world.cookie, 'Content-Type': 'application/json', ...(key && { 'Idempotency-Key': key }) },
    body: JSON.stringify({ messages: [{ role: 'user', content }] }),
    signal,
  });
  const parsed = async (response, onText = () => {}) => {
    const heard = { text: '', parts: [], sources: [] };
    const note = name => value => { heard.parts.push(name); heard[name] = value; };
    await processDataStream({
      stream: response.body,
      onTextPart: text => { heard.text += text; onText(heard.text); },
      onSourcePart: source => { heard.sources.push(source); },
      onErrorPart: note('error'),
      onStartStepPart: note('startStep'),
      onFinishStepPart: note('finishStep'),
      onFinishMessagePart: note('finish'),
    });
    return heard;
  };

  const framed = await parsed(await ask(world.framed, 'What is "AI"?\nTell me'));
  const bare = await parsed(await ask(world.bare, 'What is AI?'));

  const sources = (await parsed(await ask(world.framed, world.question))).sources;

  // The reader stops in the middle; the answer goes on, and a retry hears it from the beginning.
  const words = Array(world.words).fill('word').join(' ');
  const stop = new AbortController();
  let before = '';
  const broken = await parsed(await ask(world.framed, words, { key: 'the-key', signal: stop.signal }), text => {
    before = text;
    if (text.length > 20) stop.abort();
  }).then(() => 'whole', error => error.name);
  const response = await ask(world.framed, words, { key: 'the-key' });
  const replayed = response.headers.get('idempotent-replayed');
  return { framed, bare, sources, before, broken, replayed, again: await parsed(response) };
});
