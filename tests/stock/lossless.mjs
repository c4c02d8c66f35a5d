// A stock client that tells with every authorisation how far it got, and so misses nothing while its
// connection is cut again and again. Tells of every subscription; ends with the message "the end".

import { echo, pusher, run, tell, within } from './lib.mjs';

/** With pusher-js: the provider is asked anew at each authorisation. */
function plain(world, user) {
  let since;
  const client = pusher(world, user, {
    channelAuthorization: {
      endpoint: `${world.url}/broadcasting/auth`,
      headers: { Authorization: `Bearer ${user.token}` },
      paramsProvider: () => (since ? { since } : {}),
    },
  });
  client.bind_global((_, data) => { if (data?.cursor > (since ?? 0)) since = data.cursor; });
  return { client, follow: name => client.subscribe(`private-${name}`) };
}

/** With laravel-echo, which keeps the object of parameters. */
function echoed(world, user) {
  const params = {};
  const client = echo(world, user, params);
  const inner = client.connector.pusher;
  inner.bind_global((_, data) => { if (data?.cursor > (params.since ?? 0)) params.since = data.cursor; });
  return { client: inner, follow: name => client.private(name).subscription };
}

run(async world => {
  const { client, follow } = world.client === 'echo' ? echoed(world, world.ana) : plain(world, world.ana);
  const heard = [];
  let connections = 0;
  let missing = new Set(world.conversations);
  client.connection.bind('connected', () => connections++);
  client.connection.bind('connecting', () => { missing = new Set(world.conversations); });
  const over = new Promise(end => {
    for (const conversation of world.conversations) {
      const channel = follow(`conversation.${conversation}`);
      channel.bind('pusher:subscription_succeeded', () => {
        missing.delete(conversation);
        tell({ entered: { connection: connections, left: missing.size } });
      });
      channel.bind('pusher:subscription_error', error => tell({ failed: JSON.stringify(error) }));
      channel.bind('message.sent', message => {
        heard.push([message.cursor, conversation, message.message_id]);
        if (message.context.text === 'the end') end();
      });
    }
  });
  // What is lost is found by the suite, in what was heard until then.
  const patience = new Promise(end => process.stdin.once('data', () => within(over, 'end').then(end, end)));
  process.stdin.resume();
  await Promise.race([over, patience]);
  return { heard, connections };
});
