// Signing in: Roost vouches for its user, the platform's backend for one of its own with a watchlist.

import { Heard, backend, once, pusher, run, within } from './lib.mjs';

/** What `pusher.signin()` comes to. */
async function signIn(client) {
  const ended = Promise.race([once(client.connection, 'connected'), once(client.connection, 'error')]);
  await ended;
  const success = within(
    new Promise(hear => client.connection.bind('message', m => m.event === 'pusher:signin_success' && hear(m))),
    'sign-in',
  );
  client.signin();
  await success;
  await client.user.signinDonePromise;
  return client.user.user_data;
}

run(async world => {
  const server = backend(world);
  const ana = pusher(world, world.ana);
  const user = await signIn(ana);
  const refused = pusher(world, { token: 'nobody' });
  refused.signin();
  const error = await once(refused.user, 'pusher:signin_error');

  // What is sent to a user reaches that user's channel.
  await within(new Promise(hear => {
    const channel = ana.user.serverToUserChannel;
    channel.subscribed ? hear() : channel.bind('pusher:subscription_succeeded', hear);
  }), 'the channel of the user');
  const letter = once(ana.user, 'letter');
  await server.sendToUser(user.id, 'letter', { text: 'for you' });

  // The backend's own user watches Ana.
  const watcher = pusher(world, null, {
    userAuthentication: {
      customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id: 'watcher', watchlist: [user.id, 'x'] })),
    },
  });
  const watched = new Heard();
  for (const name of ['online', 'offline']) watcher.user.watchlist.bind(name, event => watched.push(event));
  const who = await signIn(watcher);
  const seen = [await watched.next('online')];
  ana.disconnect();
  seen.push(await watched.next('offline'));
  return { user, error, letter: await letter, watcher: who.id, seen };
});
