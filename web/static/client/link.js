// @ts-check
// One WebSocket connection: says hello, parses, measures. It decides nothing
// about when to connect; that is the Client's.

import { Order } from './order.js';

/** The client asks for a round trip this often, */
const PING_EVERY_MS = 10000;
/** and sooner for the second time: the first answer came while a page was busy with its start. */
const PING_SECOND_MS = 1000;
/** After a silence this long it asks whether the connection is alive, but not more often than ASK_AGAIN_MS. */
const QUIET_MS = 2000;
const ASK_AGAIN_MS = 5000;
/** A connection on which nothing came for this long after a ping is given up. */
const DEAD_MS = 6000;
/** Pings count from here, so that an error that echoes one is not taken for another request's. */
const FIRST_PING = 1_000_000_000;
/** A connection that is not welcomed within this time is given up. */
const WELCOME_MS = 8000;
/** Round trips that the shown one is the best of. */
const RTT_SAMPLES = 5;

/**
 * @typedef {object} LinkEvents
 * @property {(link: Link, m: import('./messages.js').Welcome) => void} welcome
 * @property {(link: Link, m: import('./messages.js').ServerMessage) => void} message every other message
 * @property {(link: Link, code: number, reason: string) => void} closed exactly once, however it ended
 * @property {() => Record<string, number>} applied last applied seq of each room, for pongs
 */

/**
 * @typedef {object} Env what a client needs of the machine; tests give their own
 * @property {typeof WebSocket} WebSocket
 * @property {() => number} now monotonic ms
 * @property {() => number} random from 0 (included) to 1 (excluded)
 */

export class Link {
  /**
   * Starts to connect.
   * @param {Env} env
   * @param {string} url
   * @param {{token: string, session: string | null}} hello
   * @param {LinkEvents} events
   */
  constructor(env, url, hello, events) {
    this.env = env;
    this.events = events;
    this.order = new Order();
    this.welcomed = false;
    this.ended = false;
    /** rooms whose join was sent and not answered on this connection */
    /** @type {Map<number, string>} */
    this.joining = new Map();
    /** wait that the server asked for before the next attempt */
    /** @type {number | null} */
    this.retryAfter = null;
    /** last error in band: why a close came */
    /** @type {import('./messages.js').WireError | null} */
    this.lastError = null;
    /** best of the last round trips in ms */
    /** @type {number | null} */
    this.rtt = null;
    /** @type {number[]} */
    this.rtts = [];
    this.pings = FIRST_PING;
    /** when the ping with the number `pings` left */
    this.pingSent = 0;
    this.heard = env.now();
    /** when it was made; from the welcome on, when that came */
    this.opened = this.heard;

    this.socket = new env.WebSocket(url);
    this.socket.onopen = () => {
      const session = hello.session ? { session: hello.session } : {};
      this.send({ type: 'hello', protocol: 1, token: hello.token, ...session });
    };
    this.socket.onmessage = (ev) => this.#receive(ev.data);
    this.socket.onclose = (ev) => this.#end(ev.code, ev.reason);
    this.timer = setInterval(() => this.#watch(), 1000);
  }

  /** @param {object} message */
  send(message) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  /**
   * Ends the connection now: `closed` is called before this returns, and nothing
   * that still arrives is looked at. A close handshake with a dead peer would
   * take minutes.
   * @param {number} code as seen by `closed`
   * @param {string} reason
   */
  drop(code, reason) {
    if (this.ended) return;
    this.#end(code, reason);
    this.socket.close(code === 1000 || (code >= 3000 && code < 5000) ? code : 1000, reason);
  }

  /** @param {unknown} data */
  #receive(data) {
    if (this.ended) return;
    this.heard = this.env.now();
    /** @type {import('./messages.js').ServerMessage} */
    let m;
    try {
      m = JSON.parse(String(data));
    } catch {
      this.drop(1006, 'a message is not JSON');
      return;
    }
    switch (m.type) {
      case 'welcome':
        this.welcomed = true;
        this.opened = this.heard;
        this.events.welcome(this, m);
        this.ping();
        return;
      case 'ping':
        this.send({ type: 'pong', id: m.id, applied: this.events.applied() });
        return;
      case 'pong':
        this.#pong(m.id);
        return;
      case 'retry':
        this.retryAfter = m.after_ms;
        return;
      case 'error':
        this.lastError = m;
        break;
    }
    this.events.message(this, m);
  }

  /** Asks for a round trip. */
  ping() {
    this.pings++;
    this.pingSent = this.env.now();
    this.send({ type: 'ping', id: this.pings });
  }

  /** @param {number} id */
  #pong(id) {
    if (id !== this.pings) return;
    this.rtts.push(this.env.now() - this.pingSent);
    if (this.rtts.length > RTT_SAMPLES) this.rtts.shift();
    this.rtt = Math.min(...this.rtts);
    this.events.message(this, { type: 'pong', id, now: 0 });
  }

  #watch() {
    const now = this.env.now();
    if (!this.welcomed) {
      if (now - this.opened > WELCOME_MS) this.drop(1006, 'no welcome');
      return;
    }
    const sincePing = now - this.pingSent;
    const quiet = now - this.heard > QUIET_MS;
    if (this.heard < this.pingSent && sincePing > DEAD_MS) this.drop(1006, 'nothing heard');
    else if (this.heard < this.pingSent) return;
    else if (sincePing >= (this.rtts.length === 1 ? PING_SECOND_MS : PING_EVERY_MS) || (quiet && sincePing >= ASK_AGAIN_MS)) this.ping();
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.timer);
    this.events.closed(this, code, reason);
  }
}
