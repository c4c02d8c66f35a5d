// The AI SDK's own chat, what `useChat` is made of, on its default transport: streamed, resumed by a page that was
// reloaded, stopped.

import { AbstractChat, DefaultChatTransport, readUIMessageStream } from 'ai';
import { run, within } from './lib.mjs';

/** The state of a chat, as a framework's binding keeps it; tells whoever waits for a change. */
class State {
  #messages;
  #status = 'ready';
  #waiting = [];
  error = undefined;

  constructor(messages) { this.#messages = messages; }
  get messages() { return this.#messages; }
  set messages(messages) { this.#messages = messages; this.changed(); }
  get status() { return this.#status; }
  set status(status) { this.#status = status; this.changed(); }
  pushMessage = message => { this.messages = [...this.#messages, message]; };
  popMessage = () => { this.messages = this.#messages.slice(0, -1); };
  replaceMessage = (at, message) => {
    this.messages = [...this.#messages.slice(0, at), this.snapshot(message), ...this.#messages.slice(at + 1)];
  };
  snapshot = thing => structuredClone(thing);

  changed() { this.#waiting = this.#waiting.filter(wake => !wake()); }
  /** Resolves when that has become so. */
  until(is, what) {
    return within(new Promise(done => {
      const wake = () => is(this) && (done(), true);
      if (!wake()) this.#waiting.push(wake);
    }), what);
  }
}

class Chat extends AbstractChat {
  constructor({ messages = [], ...init }) {
    super({ ...init, state: new State(messages) });
  }
  get told() { return this.state; }
}

const text = message => (message?.parts ?? []).filter(part => part.type === 'text').map(part => part.text).join('');

run(async world => {
  const api = `${world.url}/api/chat`;
  const transport = new DefaultChatTransport({ api });
  const open = (id, messages) => new Chat({ id, messages, transport });
  const stored = async id => (await fetch(`${api}/${id}/messages`)).json();
  const words = Array(world.words).fill('word').join(' ');

  const chat = open('stock-plain');
  await chat.sendMessage({ text: 'What is AI?' });
  const plain = { status: chat.status, error: chat.error?.message ?? null, texts: chat.messages.map(text) };
  const ids = [chat.lastMessage.id, (await stored('stock-plain')).at(-1).id];
  await chat.regenerate();
  const regenerated = chat.messages.map(text);

  // An answer rests on documents: shown with it, and again by a page that was reloaded.
  const reader = open('stock-sources');
  await reader.sendMessage({ text: world.question });
  const cited = message => message.parts.filter(part => part.type.startsWith('source-'));
  const sources = { shown: cited(reader.lastMessage), stored: cited((await stored('stock-sources')).at(-1)) };

  // Nothing is under way.
  const idle = open('stock-idle');
  await idle.resumeStream();

  // A page is reloaded in the middle.
  const first = open('stock-resumed');
  const sending = first.sendMessage({ text: words });
  await first.told.until(state => text(state.messages.at(-1)).startsWith('Echo: word'), 'the first words');
  await first.stop();
  await sending;
  const shown = text(first.lastMessage);
  const second = open('stock-resumed', await stored('stock-resumed'));
  const loaded = second.messages.length;
  const resuming = second.resumeStream();
  await second.told.until(state => state.messages.length > loaded, 'the answer');
  const isWhole = { atOnce: text(second.lastMessage).length >= shown.length, status: second.status };
  await resuming;
  const resumed = {
    shown, loaded, isWhole, status: second.status, count: second.messages.length, text: text(second.lastMessage),
    stored: (await stored('stock-resumed')).map(message => [message.id === second.lastMessage.id, text(message)]),
  };

  // An answer is stopped, for all who follow.
  const third = open('stock-stopped');
  const asking = third.sendMessage({ text: `${words} ${words}` });
  await third.told.until(state => text(state.messages.at(-1)).startsWith('Echo: word'), 'the first words');
  const stop = await (await fetch(`${api}/stock-stopped/stop`, { method: 'POST' })).json();
  await asking;
  const stopped = {
    stop, status: third.status, error: third.error?.message ?? null, text: text(third.lastMessage),
    stored: text((await stored('stock-stopped')).at(-1)),
  };

  // The stream by itself, as a program reads it.
  const stream = await transport.sendMessages({
    chatId: 'stock-read', trigger: 'submit-message', messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'by hand' }] }],
  });
  let read;
  for await (const message of readUIMessageStream({ stream })) read = message;

  const wrong = open('stock-wrong');
  await wrong.sendMessage({ text: ' ' });
  return {
    plain, ids, regenerated, sources, idle: [idle.status, idle.messages.length], resumed, stopped, read: text(read),
    wrong: { status: wrong.status, message: wrong.error?.message },
  };
});
