// How long a message takes to a follower: from before the request that sends it to the client's handler.
// Before, the client lives on pings alone for a while.

import { Heard, pusher, run, say, subscribed, within } from './lib.mjs';

run(async world => {
  const client = pusher(world, world.ana, { activityTimeout: 500 });
  const { channel } = await subscribed(client, `private-conversation.${world.conversation}`);
  const pongs = new Heard();
  client.connection.bind('message', frame => frame.event === 'pusher:pong' && pongs.push(frame));
  for (let n = 0; n < 6; n++) await pongs.next('pong');
  const heard = new Heard();
  channel.bind('message.sent', () => heard.push(performance.now()));
  const took = [];
  for (let n = 0; n < world.events; n++) {
    const began = performance.now();
    const sent = say(world, world.rui, world.ana, `message ${n}`);
    took.push((await heard.next('message')) - began);
    await within(sent, 'answer');
  }
  return { took, state: client.connection.state };
});
