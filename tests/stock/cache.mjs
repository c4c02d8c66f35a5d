// Cache channels: who comes later hears the last event, or that there is none.

import { backend, heardOn, once, pusher, run, signedBy, subscribed } from './lib.mjs';

run(async world => {
  const server = backend(world);
  const member = { user_id: 'u1', user_info: {} };
  const seen = {};
  for (const name of ['cache-prices', 'private-cache-prices', 'presence-cache-prices']) {
    const early = pusher(world, null, signedBy(server, member)).subscribe(name);
    const miss = once(early, 'pusher:cache_miss');
    await once(early, 'pusher:subscription_succeeded');
    const missed = await miss;
    for (const price of [1, 2]) await server.trigger(name, 'price', { price });
    const late = pusher(world, null, signedBy(server, member));
    const heard = heardOn(late.subscribe(name));
    seen[name] = { missed: missed ?? null, last: await heard.next() };
  }
  const { channel } = await subscribed(pusher(world, null), 'cache-prices');
  return { seen, subscribed: channel.subscribed };
});
