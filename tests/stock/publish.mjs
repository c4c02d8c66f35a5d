// A platform's own backend: publishes one event to an encrypted channel.

import { backend, run } from './lib.mjs';

run(async world => {
  const server = backend(world, { encryptionMasterKeyBase64: world.master });
  const answer = await server.trigger('private-encrypted-orders', 'order', { number: 7, note: 'olá' });
  return answer.json();
});
