// Ana and Rui follow their conversation with pusher-js or laravel-echo, and write over plain HTTP.

import { Heard, echo, once, pusher, run, say } from './lib.mjs';

/** The user's ear on the conversation, and the id of the socket. */
async function follow(world, user) {
  const heard = new Heard();
  if (world.client === 'echo') {
    const client = echo(world, user);
    const channel = client.private(`conversation.${world.conversation}`);
    channel.listen('.message.sent', message => heard.push(message));
    await once(channel.subscription, 'pusher:subscription_succeeded');
    return { heard, socket: client.socketId() };
  }
  const client = pusher(world, user);
  const channel = client.subscribe(`private-conversation.${world.conversation}`);
  channel.bind('message.sent', message => heard.push(message));
  await once(channel, 'pusher:subscription_succeeded');
  return { heard, socket: client.connection.socket_id };
}

run(async world => {
  const { ana, rui } = world;
  const anas = await follow(world, ana);
  const ruis = await follow(world, rui);
  const first = await say(world, rui, ana, 'hello Ana');
  const heard = { ana: [await anas.heard.next()], rui: [await ruis.heard.next()] };
  // Her own client shows what she sends: it says so, and hears nothing of it. Rui does.
  const second = await say(world, ana, rui, 'hello Rui', { 'X-Socket-ID': anas.socket });
  heard.rui.push(await ruis.heard.next());
  const third = await say(world, rui, ana, 'are you there?', { 'X-Socket-ID': ruis.socket });
  heard.ana.push(await anas.heard.next());
  const fourth = await say(world, ana, rui, 'yes');
  heard.ana.push(await anas.heard.next());
  heard.rui.push(await ruis.heard.next());
  return { said: [first, second, third, fourth], heard };
});
