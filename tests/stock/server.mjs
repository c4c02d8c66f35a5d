// The Node server library: publishing, reading the state of channels, ending connections, webhooks.

import { backend, run } from './lib.mjs';

const told = answer => answer.json();
/** The status of a refusal. */
const refusal = promise => promise.then(() => null, error => error.status);

run(async world => {
  const server = backend(world);
  const get = (path, params) => server.get({ path, params }).then(told);
  const stranger = backend({ ...world, secret: 'x' });
  const result = {
    trigger: await server.trigger('news', 'headline', { n: 1 }).then(told),
    info: await server.trigger(['news', 'presence-room'], 'headline', { n: 2 }, { info: 'subscription_count' }).then(told),
    spared: await server.trigger('news', 'headline', { n: 3 }, { socket_id: world.socket }).then(told),
    batch: await server.triggerBatch([
      { channel: 'news', name: 'headline', data: { n: 4 } },
      { channel: 'private-orders', name: 'order', data: { n: 5 } },
    ]).then(told),
    channels: await get('/channels'),
    rooms: await get('/channels', { filter_by_prefix: 'presence-', info: 'user_count' }),
    room: await get('/channels/presence-room', { info: 'user_count,subscription_count' }),
    empty: await get('/channels/nobody-is-here'),
    users: await get('/channels/presence-room/users'),
    refused: {
      usersOfNews: await refusal(server.get({ path: '/channels/news/users' })),
      countOfAll: await refusal(server.get({ path: '/channels', params: { info: 'user_count' } })),
      large: await refusal(server.trigger('news', 'headline', 'x'.repeat(11_000))),
      stranger: await refusal(stranger.trigger('news', 'headline', {})),
    },
    terminated: await server.terminateUserConnections('u1').then(told),
  };
  const { headers, body } = world.webhook;
  const hook = (rawBody, more) => server.webhook({ rawBody, headers: { ...headers, ...more } });
  result.webhook = {
    isValid: hook(body).isValid(),
    events: hook(body).getEvents(),
    changed: hook(body.replace('news', 'olds')).isValid(),
    forged: hook(body, { 'x-pusher-signature': '0'.repeat(64) }).isValid(),
  };
  return result;
});
