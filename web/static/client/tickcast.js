// @ts-check
/**
 * The Tickcast client: an ES module without dependencies, for browsers and for
 * anything else that has WebSocket, performance.now and crypto.getRandomValues.
 *
 *     import { Client } from './tickcast.js';
 *     const client = new Client({ url: 'wss://example.org/ws', token: async () => myToken });
 *     client.on('state', (s) => console.log(s.state));
 *     const room = client.join('lobby');
 *     room.on('snapshot', ({ snapshot }) => …);
 *     room.on('update', ({ events }) => …);        // in order, none missing, none twice
 *     client.connect();
 *     const bet = await client.command('lobby', 'bet', { round: 17, args: { slot: 0, amount: 1000 } });
 *
 * It keeps the promises of docs/protocol.md that are the client's: it checks the
 * order of updates and resumes from its last position, waits a random time
 * before it connects again, moves to another gateway before it lets go of the
 * old one, and repeats a command under the same key until it has its one answer.
 */

import { Backoff, shouldReconnect, STABLE_MS } from './backoff.js';
import { CommandError, Commands } from './commands.js';
import { Emitter } from './emitter.js';
import { Link } from './link.js';
import { Room } from './room.js';

export { Backoff, shouldReconnect } from './backoff.js';
export { GameClock } from './clock.js';
export { CommandError, uuid } from './commands.js';
export { Room } from './room.js';

/** The room that takes what concerns a player and no room (P4.10). */
export const CASHIER = '_';

/** Close code of this client when it saw a gap: a code that advises to come back. */
const GAP = 4000;
/** Close code of this client when it wants to say hello again. */
const RENEW = 4001;
/** How long a chat line may take to come back. */
const CHAT_MS = 6000;
/** Wait before a join that was refused for the moment is tried again. */
const JOIN_AGAIN_MS = 1000;

/**
 * 'idle' not connected, nobody asked to; 'connecting'; 'online'; 'waiting' until
 * the next attempt; 'ended' the server does not want this client, or close was called.
 * @typedef {'idle' | 'connecting' | 'online' | 'waiting' | 'ended'} State
 *
 * @typedef {object} StateEvent
 * @property {State} state
 * @property {number} [retryIn] waiting: ms until the next attempt
 * @property {number} [code] waiting, ended: why the connection closed
 * @property {string} [reason]
 * @property {import('./messages.js').WireError | null} [error] waiting, ended: last error before the close
 */

/**
 * @typedef {object} ClientEvents
 * @property {StateEvent} state
 * @property {import('./messages.js').Welcome} welcome
 * @property {{amount: number, version: number}} balance each newer balance
 * @property {number} rtt round trip in ms, best of the last few
 * @property {null} moved another gateway took over without an interruption
 * @property {import('./messages.js').WireError} error an error that belongs to no request
 */

/**
 * @typedef {object} Options
 * @property {string} url of the socket, ws:// or wss://
 * @property {(o: {fresh: boolean}) => Promise<string> | string} token gives the token; fresh asks for another than the
 *   last, which has expired
 * @property {Partial<import('./link.js').Env>} [env]
 */

/**
 * A player's connection to a deployment, across sockets and gateways.
 * @extends {Emitter<ClientEvents>}
 */
export class Client extends Emitter {
  /** @param {Options} options */
  constructor(options) {
    super();
    this.options = options;
    /** @type {import('./link.js').Env} */
    this.env = {
      WebSocket: globalThis.WebSocket,
      now: () => performance.now(),
      random: Math.random,
      ...options.env,
    };
    this.backoff = new Backoff(this.env.random);
    /** @type {Map<string, Room>} */
    this.rooms = new Map();
    this.commands = new Commands(this.env.now, (room) => this.#route(room));
    /** @type {StateEvent} */
    this.status = { state: 'idle' };
    /** @type {import('./messages.js').Player | null} */
    this.player = null;
    this.balance = { amount: 0, version: -1 };
    /** the connection in use */
    /** @type {Link | null} */
    this.link = null;
    /** the connection that will take over (P6.3) */
    /** @type {Link | null} */
    this.next = null;
    /** @type {string | null} */
    this.session = null;
    this.staleToken = false;
    /** whether the server set the time of the next attempt (P6.4) */
    this.told = false;
    this.ids = 0;
    /** raised by whatever makes an attempt under way obsolete */
    this.attempt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Map<number, {room: string, text: string, done: (e: CommandError | null) => void}>} */
    this.lines = new Map();
  }

  /** Connects, and stays connected until close or a code that advises against it. */
  connect() {
    if (this.status.state === 'connecting' || this.status.state === 'online') return;
    this.#dial();
  }

  /**
   * Tries at once if the client waits for its next attempt: the network is back, the page is looked at again. A wait
   * that the server asked for stays.
   */
  wake() {
    if (this.status.state === 'waiting' && !this.told) this.#dial();
  }

  /** Says hello again with what token gives by now, as after a loss: the player has another name, say. */
  renew() {
    this.link?.drop(RENEW, 'renewed');
    this.wake();
  }

  /** Ends the connection for good. Commands without an answer are rejected with `closed`. */
  close() {
    this.attempt++;
    clearTimeout(this.timer);
    const links = [this.link, this.next];
    this.link = this.next = null;
    for (const link of links) link?.drop(1000, '');
    this.commands.fail('closed', 'the client was closed');
    this.#setState({ state: 'ended', code: 1000, reason: '', error: null });
  }

  /** Round trip in ms, or null before it is known. */
  get rtt() {
    return this.link?.rtt ?? null;
  }

  /**
   * Follows a room. The room is the same object until it is left.
   * @param {string} id
   * @returns {Room}
   */
  join(id) {
    let room = this.rooms.get(id);
    if (!room) {
      room = new Room(id, this.env.now);
      this.rooms.set(id, room);
      for (const link of [this.link, this.next]) if (link?.welcomed) this.#sendJoin(link, room);
    }
    return room;
  }

  /**
   * Stops following a room.
   * @param {string} id
   */
  leave(id) {
    const room = this.rooms.get(id);
    if (!room) return;
    for (const link of [this.link, this.next]) {
      if (!link?.welcomed) continue;
      for (const [join, name] of link.joining) if (name === id) link.joining.delete(join);
      link.order.stop(id);
      link.send({ type: 'leave', id: ++this.ids, room: id });
    }
    this.#forget(room);
  }

  /**
   * Whether the room is followed at the moment.
   * @param {string} id
   */
  live(id) {
    return this.status.state === 'online' && this.link?.order.log(id) !== undefined;
  }

  /**
   * Sends a command, see Commands.send.
   * @param {string} room
   * @param {string} op
   * @param {{round?: number, args?: object, key?: string, patience?: number}} [o]
   * @returns {Promise<any>} the result; rejects with a CommandError
   */
  command(room, op, o) {
    return this.commands.send(room, op, o);
  }

  /** Asks for new play credits (P4.10). */
  refill() {
    return this.commands.send(CASHIER, 'refill');
  }

  /**
   * Says something in a room. Resolves when everybody was told.
   * @param {string} room
   * @param {string} text
   * @returns {Promise<void>}
   */
  say(room, text) {
    return new Promise((resolve, reject) => {
      if (!this.live(room)) {
        reject(new CommandError({ code: 'unavailable', message: 'not connected', temporary: true }));
        return;
      }
      const id = ++this.ids;
      const late = () => this.#line(id, new CommandError({ code: 'no_answer', message: 'the line did not come back' }));
      const timer = setTimeout(late, CHAT_MS);
      const done = (/** @type {CommandError | null} */ e) => {
        clearTimeout(timer);
        if (e) reject(e);
        else resolve();
      };
      this.lines.set(id, { room, text, done });
      this.link?.send({ type: 'chat', id, room, text });
    });
  }

  /** @param {StateEvent} s */
  #setState(s) {
    this.status = s;
    this.emit('state', s);
  }

  /** Opens the connection to be used. */
  async #dial() {
    clearTimeout(this.timer);
    this.#setState({ state: 'connecting' });
    const link = await this.#open();
    if (link) this.link = link;
  }

  /**
   * Opens a connection, unless something newer happens meanwhile.
   * @returns {Promise<Link | null>}
   */
  async #open() {
    const attempt = ++this.attempt;
    let token;
    try {
      token = await this.options.token({ fresh: this.staleToken });
      this.staleToken = false;
    } catch (err) {
      if (attempt === this.attempt && !this.link) this.#wait({ code: 1006, reason: String(err), after: null, error: null });
      return null;
    }
    if (attempt !== this.attempt) return null;
    return new Link(this.env, this.options.url, { token, session: this.session }, {
      welcome: (l, m) => this.#welcome(l, m),
      message: (l, m) => this.#message(l, m),
      closed: (l, code, reason) => this.#closed(l, code, reason),
      applied: () => this.#applied(),
    });
  }

  #applied() {
    /** @type {Record<string, number>} */
    const applied = {};
    for (const room of this.rooms.values()) if (room.position) applied[room.id] = room.position.seq;
    return applied;
  }

  /**
   * @param {Link} link
   * @param {import('./messages.js').Welcome} m
   */
  #welcome(link, m) {
    this.session = m.session;
    this.player = m.player;
    for (const room of this.rooms.values()) this.#sendJoin(link, room);
    if (link === this.link) {
      this.commands.lost();
      this.#setState({ state: 'online' });
      this.commands.flush();
    }
    this.emit('welcome', m);
    this.#settle(link);
  }

  /**
   * @param {Link} link
   * @param {Room} room
   */
  #sendJoin(link, room) {
    const id = ++this.ids;
    link.joining.set(id, room.id);
    room.asked = this.env.now();
    if (room.position) link.order.start(room.id, room.position);
    const position = room.position ? { position: { ...room.position } } : {};
    link.send({ type: 'join', id, room: room.id, ...position });
  }

  /**
   * Lets the next connection take over once it stands where the old one stands:
   * every room is joined there.
   * @param {Link} link
   */
  #settle(link) {
    if (link !== this.next || !link.welcomed || link.joining.size > 0) return;
    const old = this.link;
    this.link = link;
    this.next = null;
    this.commands.lost();
    old?.drop(1000, 'moved');
    this.commands.flush();
    this.emit('moved', null);
  }

  /**
   * @param {Link} link
   * @param {import('./messages.js').ServerMessage} m
   */
  #message(link, m) {
    if (link !== this.link && link !== this.next) return;
    switch (m.type) {
      case 'update':
        return this.#update(link, m);
      case 'tick':
        return this.rooms.get(m.room)?.tick(m);
      case 'answer':
        return this.commands.answer(m);
      case 'joined':
        return this.#joined(link, m);
      case 'left':
        return this.#left(link, m);
      case 'notice':
        return this.rooms.get(m.room)?.emit('notice', m.event);
      case 'balance':
        return this.#balance(m);
      case 'chat':
        return this.#chat(m);
      case 'presence':
        return this.rooms.get(m.room)?.presence(m);
      case 'skip':
        return this.#skip(link, m);
      case 'move':
        return this.#move(link, m.within_ms);
      case 'pong':
        return this.emit('rtt', link.rtt ?? 0);
      case 'error':
        return this.#error(link, m);
    }
  }

  /**
   * @param {Link} link
   * @param {import('./messages.js').Update} m
   */
  #update(link, m) {
    const room = this.rooms.get(m.room);
    const verdict = link.order.check(m.room, m.seq);
    if (!room || verdict === 'old' || verdict === 'foreign') return;
    if (verdict === 'gap' || !room.update(m, link.order.log(m.room))) {
      link.drop(GAP, 'gap before update ' + m.seq + ' of ' + m.room);
    }
  }

  /**
   * @param {Link} link
   * @param {import('./messages.js').Joined} m
   */
  #joined(link, m) {
    if (m.id !== undefined && !link.joining.delete(m.id)) return; // left again meanwhile
    const room = this.rooms.get(m.room);
    if (!room) return;
    room.joined(m, link.order.start(m.room, m.position));
    this.#settle(link);
    this.commands.flush();
  }

  /**
   * Left without an id tells that an operator closed the room.
   * @param {Link} link
   * @param {import('./messages.js').Left} m
   */
  #left(link, m) {
    const room = this.rooms.get(m.room);
    if (m.id !== undefined || !room) return;
    link.order.stop(m.room);
    this.#forget(room);
  }

  /** @param {Room} room */
  #forget(room) {
    this.rooms.delete(room.id);
    this.commands.fail('not_joined', 'the room was left', room.id);
    room.emit('left', null);
  }

  /** @param {{amount: number, version: number}} m */
  #balance(m) {
    if (m.version < this.balance.version) return;
    this.balance = { amount: m.amount, version: m.version };
    this.emit('balance', this.balance);
  }

  /** @param {import('./messages.js').Chat} m */
  #chat(m) {
    const { type: _type, room, ...line } = m;
    this.rooms.get(room)?.line(line);
    if (m.player !== this.player?.id) return;
    for (const [id, l] of this.lines) {
      if (l.room === room && l.text === m.text) return this.#line(id, null);
    }
  }

  /**
   * @param {number} id
   * @param {CommandError | null} e
   */
  #line(id, e) {
    const line = this.lines.get(id);
    this.lines.delete(id);
    line?.done(e);
  }

  /**
   * After a skip the next of the room is a snapshot; updates until then would be a gap.
   * @param {Link} link
   * @param {import('./messages.js').Skip} m
   */
  #skip(link, m) {
    link.order.stop(m.room);
    const room = this.rooms.get(m.room);
    if (!room) return;
    room.asked = this.env.now(); // by the server itself
    room.emit('skip', m);
  }

  /**
   * @param {Link} link
   * @param {import('./messages.js').ErrorMessage} m
   */
  #error(link, m) {
    const id = m.id;
    if (id !== undefined && this.lines.has(id)) return this.#line(id, new CommandError(m));
    const name = id === undefined ? undefined : link.joining.get(id);
    if (id === undefined || name === undefined) return this.emit('error', m);
    const room = this.rooms.get(name);
    if (m.temporary && room) {
      setTimeout(() => this.#joinAgain(link, id, room), JOIN_AGAIN_MS * (0.5 + this.env.random()));
      return;
    }
    link.joining.delete(id);
    if (m.code === 'bad_position' && room?.position) {
      room.position = null;
      this.#sendJoin(link, room);
      return;
    }
    if (room) {
      room.emit('refused', m);
      this.#forget(room);
    }
    this.#settle(link);
  }

  /**
   * @param {Link} link
   * @param {number} id of the join that was refused for the moment
   * @param {Room} room
   */
  #joinAgain(link, id, room) {
    if (link.ended || !link.joining.delete(id) || this.rooms.get(room.id) !== room) return;
    this.#sendJoin(link, room);
  }

  /**
   * Make before break (P6.3): the old connection goes on until the new one has
   * joined every room.
   * @param {Link} link
   * @param {number} withinMs
   */
  #move(link, withinMs) {
    if (link !== this.link || this.next) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      if (link !== this.link || this.next) return;
      const next = await this.#open();
      if (!next) return;
      if (this.link === link) this.next = next;
      else next.drop(1000, 'not needed');
    }, this.env.random() * withinMs * 0.8);
  }

  /**
   * @param {Link} link
   * @param {number} code
   * @param {string} reason
   */
  #closed(link, code, reason) {
    if (link.welcomed && this.env.now() - link.opened >= STABLE_MS) this.backoff.reset();
    if (link === this.next) {
      this.next = null;
      // The server asked for the move, so it will be repeated while the old connection lives.
      if (this.link && shouldReconnect(code)) this.#move(this.link, this.backoff.next());
      return;
    }
    if (link !== this.link) return;
    this.link = this.next;
    this.next = null;
    this.commands.lost();
    for (const id of [...this.lines.keys()]) {
      this.#line(id, new CommandError({ code: 'unavailable', message: 'the connection was lost', temporary: true }));
    }
    if (this.link) {
      this.#setState({ state: this.link.welcomed ? 'online' : 'connecting' });
      this.commands.flush();
      return;
    }
    this.#decide(link, code, reason);
  }

  /**
   * @param {Link} link
   * @param {number} code
   * @param {string} reason
   */
  #decide(link, code, reason) {
    const error = link.lastError;
    this.staleToken = code === 3005;
    if (shouldReconnect(code)) {
      this.#wait({ code, reason, after: link.retryAfter, error });
      return;
    }
    this.commands.fail('closed', reason || 'the connection was closed');
    this.#setState({ state: 'ended', code, reason, error });
  }

  /** @param {{code: number, reason: string, after: number | null, error: import('./messages.js').WireError | null}} o */
  #wait(o) {
    const own = this.backoff.next();
    const retryIn = o.after ?? own;
    this.told = o.after !== null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#dial(), retryIn);
    this.#setState({ state: 'waiting', retryIn, code: o.code, reason: o.reason, error: o.error });
  }

  /**
   * @param {string} room
   * @returns {((m: object) => void) | null}
   */
  #route(room) {
    const link = this.link;
    if (!link?.welcomed || link.ended) return null;
    if (room !== CASHIER && link.order.log(room) === undefined) return null;
    return (m) => link.send(m);
  }
}

/**
 * The address of the socket beside a page.
 * @param {{protocol: string, host: string}} location
 */
export function socketURL(location) {
  return (location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/ws';
}
