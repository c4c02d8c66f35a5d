// How long a message takes to a follower: from before the request that sends it to the client's handler.
// Before, the connection lives on pings alone for a while: the client's own, or the server's.

import { Heard, pusher, run, say, subscribed, within } from './lib.mjs';

run(async world => {
  const client = pusher(world, world.ana, { activityTimeout: world.activityTimeout });
  const { channel } = await subscribed(client, `private-conversation.${world.conversation}`);
  const signs = new Heard();
  client.connection.bind('message', frame => /^pusher:p[io]ng$/.test(frame.event) && signs.push(frame.event));
  const alive = [];
  for (let n = 0; n < world.signs; n++) alive.push(await signs.next('sign of life'));
  const heard = new Heard();
  channel.bind('message.sent', () => heard.push(performance.now()));
  const took = [];
  for (let n = 0; n < world.events; n++) {
    const began = performance.now();
    const sent = say(world, world.rui, world.ana, `message ${n}`);
    took.push((await heard.next('message')) - began);
    await within(sent, 'answer');
  }
  return { alive, took, state: client.connection.state };
});
