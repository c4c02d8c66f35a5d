// Who may not follow is told so, on the channel that was refused, and follows the rest as before.

import { echo, once, pusher, run, subscribed, within } from './lib.mjs';

run(async world => {
  const channel = `conversation.${world.conversation}`;
  const eve = echo(world, world.eve);
  const echoed = await within(new Promise(hear => eve.private(channel).error(hear)), 'error');
  const joined = await within(new Promise(hear => eve.join(channel).error(hear)), 'error');
  const plain = await once(pusher(world, world.eve).subscribe(`private-${channel}`), 'pusher:subscription_error');

  // A signature that is not the platform's is found out by the server, after the endpoint.
  const forged = { customHandler: (_, done) => done(null, { auth: `${world.key}:${'0'.repeat(64)}` }) };
  const forger = pusher(world, world.ana, { channelAuthorization: forged });
  const found = await once(forger.subscribe(`private-${channel}`), 'pusher:subscription_error');
  await subscribed(forger, 'news');

  // Nothing of it has closed the connection.
  const own = await subscribed(eve.connector.pusher, `private-users.${world.eve.uuid}`);
  const states = [eve.connectionStatus(), forger.connection.state];
  return { echoed, joined, plain, found, own: own.channel.subscribed, states };
});
