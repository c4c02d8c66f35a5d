// Two users in a conversation's room: who is here, who comes, who goes. One has two windows.

import { Heard, echo, run, within } from './lib.mjs';

/** Joins; what the room told so far, and the client. */
async function join(world, user) {
  const client = echo(world, user);
  const heard = new Heard();
  const room = client.join(`conversation.${world.conversation}`);
  const here = await within(new Promise(hear => room.here(hear)), 'here');
  room.joining(member => heard.push({ joining: member }));
  room.leaving(member => heard.push({ leaving: member }));
  return { client, room, here, heard };
}

run(async world => {
  const ana = await join(world, world.ana);
  const rui = await join(world, world.rui);
  const told = [await ana.heard.next('joining')];
  const members = rui.room.subscription.members;
  const seen = { count: members.count, me: members.me.id, ids: Object.keys(members.members).sort() };
  // A second window of Rui's is nobody new, and Rui stays while one of them is open.
  const again = await join(world, world.rui);
  rui.client.disconnect();
  again.room.whisper('typing', { from: 'second window' });
  told.push(await within(new Promise(hear => ana.room.listenForWhisper('typing', hear)), 'whisper'));
  again.client.leave(`conversation.${world.conversation}`);
  told.push(await ana.heard.next('leaving'));
  return { here: { ana: ana.here, rui: rui.here, again: again.here }, seen, told };
});
