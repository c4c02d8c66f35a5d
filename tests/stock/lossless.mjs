// A stock client that tells with every authorisation how far it got, and so misses nothing while its
// connection is cut again and again. Tells of every subscription; ends with the message "the end".

import { echo, once, pusher, run, tell, within } from './lib.mjs';

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
  return client.subscribe(`private-conversation.${world.conversation}`);
}

/** With laravel-echo, which keeps the object of parameters. */
function echoed(world, user) {
  const params = {};
  const client = echo(world, user, params);
  client.connector.pusher.bind_global((_, data) => { if (data?.cursor > (params.since ?? 0)) params.since = data.cursor; });
  return client.private(`conversation.${world.conversation}`).subscription;
}

run(async world => {
  const channel = world.client === 'echo' ? echoed(world, world.ana) : plain(world, world.ana);
  const heard = [];
  let subscriptions = 0;
  channel.bind('pusher:subscription_succeeded', () => tell({ subscribed: ++subscriptions }));
  channel.bind('pusher:subscription_error', error => tell({ error }));
  const over = new Promise(end => {
    channel.bind('message.sent', message => {
      heard.push([message.cursor, message.message_id, message.context.text]);
      if (message.context.text === 'the end') end();
    });
  });
  await once(channel, 'pusher:subscription_succeeded');
  // What is lost is found by the suite, in what was heard until then.
  const patience = new Promise(end => process.stdin.once('data', () => within(over, 'end').then(end, end)));
  process.stdin.resume();
  await Promise.race([over, patience]);
  return { heard, subscriptions };
});
