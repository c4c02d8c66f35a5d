// An encrypted channel between a platform's backend and its clients: Roost carries what it cannot read.

import { randomBytes } from 'node:crypto';
import { Heard, backend, heardOn, pusher, run, signedBy, subscribed } from './lib.mjs';

run(async world => {
  const server = backend(world, { encryptionMasterKeyBase64: randomBytes(32).toString('base64') });
  const client = pusher(world, null, signedBy(server));
  const wire = new Heard();
  client.connection.bind('message', frame => frame.event === 'order' && wire.push(frame.data));
  const { channel } = await subscribed(client, 'private-encrypted-orders');
  const heard = heardOn(channel);
  await server.trigger('private-encrypted-orders', 'order', { number: 7, note: 'olá' });
  return { heard: await heard.next(), wire: Object.keys(await wire.next()).sort() };
});
