// A stock client of server-sent events, which comes back by itself and says how far it was. Tells every
// event until standard input ends.

import { EventSource } from 'eventsource';
import { run, tell } from './lib.mjs';

run(async ({ stream, headers }) => {
  const fetchWith = (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } });
  const source = new EventSource(stream, { fetch: fetchWith });
  for (const name of ['message', 'resumed', 'reset', 'message.sent']) {
    source.addEventListener(name, event => tell({ event: name, id: event.lastEventId, data: JSON.parse(event.data) }));
  }
  source.addEventListener('error', event => tell({ lost: source.readyState, code: event.code ?? null }));
  process.stdin.resume();
  await new Promise(end => process.stdin.once('close', end));
  source.close();
});
