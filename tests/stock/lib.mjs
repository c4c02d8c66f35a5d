// What the scripts of this folder share: they run a stock client against a server and say on standard
// output, one JSON object a line, what it did. The Rust suite in tests/it/stock starts them and judges.

import { createRequire } from 'node:module';
import Echo from 'laravel-echo';

const require = createRequire(import.meta.url);
/** pusher-js as its package gives it to Node: with the encryption built in. */
export const Pusher = require('pusher-js');
/** The server library. */
export const Server = require('pusher');
export { Echo };

/** How long a script waits for something that has to happen. */
const PATIENCE_MS = 60_000;

/** Tells the suite something while the script goes on. */
export function tell(object) {
  process.stdout.write(JSON.stringify(object) + '\n');
}

/** Runs a scenario with the suite's JSON, tells what it returns, and ends the process. */
export async function run(scenario) {
  let last;
  try {
    last = { result: await scenario(JSON.parse(process.argv[2])) };
  } catch (error) {
    last = { failed: String(error?.stack ?? error) };
  }
  // Not before the line is out: to exit cuts off what a pipe has not taken.
  process.stdout.write(JSON.stringify(last) + '\n', () => process.exit(0));
}

/** The promise, or a failure that says what did not come. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no ${what} in time`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The first event of that name, from anything that has `bind`. */
export function once(emitter, name) {
  return within(new Promise(hear => emitter.bind(name, hear)), name);
}

/** What was heard, in order, taken one at a time. */
export class Heard {
  #waiting = [];
  #wake = [];

  push(item) {
    const wake = this.#wake.shift();
    if (wake) wake(item);
    else this.#waiting.push(item);
  }

  next(what = 'event') {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift());
    return within(new Promise(wake => this.#wake.push(wake)), what);
  }
}

/** Everything that a channel of pusher-js hears but the protocol's own events. */
export function heardOn(channel) {
  const heard = new Heard();
  channel.bind_global((event, data) => {
    if (!event.startsWith('pusher:')) heard.push({ event, data });
  });
  return heard;
}

const place = url => ({ wsHost: new URL(url).hostname, wsPort: Number(new URL(url).port) });
const bearer = user => ({ Authorization: `Bearer ${user.token}` });

/** A client as a page would make it: nothing but the address, and who it is. `more` goes over both. */
export function pusher(world, user, more = {}) {
  return new Pusher(world.key, {
    ...place(world.ws ?? world.url),
    cluster: '',
    forceTLS: false,
    enabledTransports: ['ws'],
    channelAuthorization: { endpoint: `${world.url}/broadcasting/auth`, headers: user && bearer(user) },
    userAuthentication: { endpoint: `${world.url}/broadcasting/user-auth`, headers: user && bearer(user) },
    ...more,
  });
}

/** The same with laravel-echo, as for Laravel's own server. */
export function echo(world, user, params = {}) {
  return new Echo({
    broadcaster: 'reverb',
    Pusher,
    key: world.key,
    ...place(world.ws ?? world.url),
    forceTLS: false,
    enabledTransports: ['ws'],
    authEndpoint: `${world.url}/broadcasting/auth`,
    auth: { headers: bearer(user), params },
    userAuthentication: { endpoint: `${world.url}/broadcasting/user-auth`, headers: bearer(user) },
  });
}

/** Subscribes, and waits until that succeeded: the channel and what the success said. */
export async function subscribed(client, name) {
  const channel = client.subscribe(name);
  return { channel, data: await once(channel, 'pusher:subscription_succeeded') };
}

/** A platform's own backend: the server library with the secret. */
export function backend(world, more = {}) {
  const { hostname, port } = new URL(world.url);
  return new Server({ appId: world.app, key: world.key, secret: world.secret, host: hostname, port, ...more });
}

/** A subscription signed by the platform's own backend instead of Roost. */
export function signedBy(server, member) {
  return {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const data = channelName.startsWith('presence-') ? member : undefined;
        done(null, server.authorizeChannel(socketId, channelName, data));
      },
    },
  };
}

/** Says something to the other user of the conversation over plain HTTP; the message's id. */
export async function say(world, from, to, text, headers = {}) {
  const answer = await fetch(`${world.url}/api/v1/pigeons/chat/messages`, {
    method: 'POST',
    headers: { ...bearer(from), 'X-PUBLIC-KEY': world.key, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({
      conversation_uuid: world.conversation,
      receiver_uuid: to.uuid,
      context_text: text,
      context_type: 'text',
      device: { type: 'web', os: 'Linux' },
    }),
  });
  const body = await answer.json();
  if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(body)}`);
  return body.data.message_id;
}
