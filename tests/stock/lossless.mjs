// A stock client that tells with every authorisation how far it got, and so misses nothing while its
// connection is cut again and again. Tells of every subscription; ends with the message "the end".

import { echo, pusher, run, tell, within } from './lib.mjs';

/** A cursor for each channel, as docs/pusher.md has it: `remember` is for each channel that is followed. */
function perChannel(changed = () => {}) {
  const since = {};
  const remember = channel => {
    channel.bind_global((_, data) => {
      const at = data?.cursor ?? data?.since;
      if (at >= 0) { since[channel.name] = at; changed(since); }
    });
    return channel;
  };
  return { since, remember };
}

function plainEach(world, user) {
  const { since, remember } = perChannel();
  const client = pusher(world, user, {
    channelAuthorization: {
      endpoint: `${world.url}/broadcasting/auth`,
      headers: { Authorization: `Bearer ${user.token}` },
      paramsProvider: () => ({ since: JSON.stringify(since) }),
    },
  });
  return { client, follow: name => remember(client.subscribe(`private-${name}`)) };
}

function echoedEach(world, user) {
  const params = {};
  const client = echo(world, user, params);
  const { remember } = perChannel(since => { params.since = JSON.stringify(since); });
  return { client: client.connector.pusher, follow: name => remember(client.private(name).subscription) };
}

/** One cursor for all channels, with pusher-js: the provider is asked anew at each authorisation. */
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
  const forms = { 'pusher-js': plain, echo: echoed, 'pusher-js, each': plainEach, 'echo, each': echoedEach };
  const { client, follow } = forms[world.client](world, world.ana);
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
