// Clients for the server libraries to find: two users in a room, one of them in two windows and signed
// in, on channels of each kind. Tells what they hear, until standard input ends.

import { backend, once, pusher, run, signedBy, subscribed, tell } from './lib.mjs';

/** A client of that user on those channels. */
async function open(world, server, id, names) {
  const client = pusher(world, null, {
    ...signedBy(server, { user_id: id, user_info: { name: id } }),
    userAuthentication: {
      customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id })),
    },
  });
  for (const name of names) {
    const { channel } = await subscribed(client, name);
    channel.bind_global((event, data) => event.startsWith('pusher:') || tell({ heard: [id, name, event, data] }));
  }
  return client;
}

run(async world => {
  const server = backend(world);
  const first = await open(world, server, 'u1', ['news', 'private-orders', 'presence-room']);
  await open(world, server, 'u1', ['presence-room']);
  await open(world, server, 'u2', ['news', 'presence-room']);
  first.signin();
  await first.user.signinDonePromise;
  const gone = once(first.connection, 'disconnected').then(() => tell({ gone: 'u1' }), () => {});
  tell({ socket: first.connection.socket_id, user: first.user.user_data });
  process.stdin.resume();
  await new Promise(end => process.stdin.once('close', end));
  await Promise.race([gone, Promise.resolve()]);
});
