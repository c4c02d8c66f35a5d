// Client events: heard by the others of a channel, never by who sent them, and with the sender's name
// in a room.

import { Heard, echo, pusher, run, subscribed, once } from './lib.mjs';

run(async world => {
  const name = `conversation.${world.conversation}`;
  const [ana, rui] = [echo(world, world.ana), echo(world, world.rui)];
  const ears = { ana: new Heard(), rui: new Heard() };
  const doors = { ana: ana.private(name), rui: rui.private(name) };
  // Either may be in first.
  await Promise.all(Object.values(doors).map(door => once(door.subscription, 'pusher:subscription_succeeded')));
  for (const who of ['ana', 'rui']) {
    doors[who].listenForWhisper('typing', data => ears[who].push(data));
  }
  doors.ana.whisper('typing', { is: 'Ana' });
  const heard = { rui: await ears.rui.next('whisper') };
  doors.rui.whisper('typing', { is: 'Rui' });
  // The first that she hears is not her own.
  heard.ana = await ears.ana.next('whisper');

  const { channel: anas } = await subscribed(pusher(world, world.ana), `presence-${name}`);
  const { channel: ruis } = await subscribed(pusher(world, world.rui), `presence-${name}`);
  const told = new Heard();
  ruis.bind('client-typing', (data, metadata) => told.push({ data, metadata }));
  anas.trigger('client-typing', { is: 'Ana' });
  return { heard, room: await told.next('client event') };
});
