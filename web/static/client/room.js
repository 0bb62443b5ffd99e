// @ts-check
import { Emitter } from './emitter.js';
import { GameClock } from './clock.js';

/**
 * @typedef {object} RoomEvents
 * @property {{snapshot: any, you: any, t: number}} snapshot the whole public state; what was known before is void
 * @property {{recovered: boolean, source: string}} resumed a join with a position was answered: from where, and whether nothing is missing
 * @property {{you: any}} you the player's own part, after a recovery without a snapshot
 * @property {{seq: number, t: number, events: import('./messages.js').GameEvent[]}} update the next update, none left out
 * @property {import('./messages.js').GameEvent} notice
 * @property {import('./messages.js').ChatLine} chat one line behind those known
 * @property {import('./messages.js').ChatLine[]} chatlog all known lines
 * @property {number} players connections in the room
 * @property {import('./messages.js').Skip} skip updates were left out because this client is too slow; a snapshot follows
 * @property {import('./messages.js').WireError} refused the join was refused
 * @property {null} left the room is not joined any more
 */

/** Chat lines that are kept. */
const CHAT_LINES = 200;

/**
 * A joined room as one client sees it: an unbroken sequence of updates, whatever
 * happens to connections, and the room's clock. Made by Client.join.
 * @extends {Emitter<RoomEvents>}
 */
export class Room extends Emitter {
  /**
   * @param {string} id
   * @param {() => number} now local monotonic ms
   */
  constructor(id, now) {
    super();
    this.id = id;
    this.localNow = now;
    this.clock = new GameClock();
    /** @type {import('./messages.js').Position | null} */
    this.position = null;
    this.epoch = 0;
    this.players = 0;
    /**
     * Local time at which the newest join was sent: answers since then may be
     * newer than what the reply says of the player (P3.7).
     */
    this.asked = -Infinity;
    /** @type {import('./messages.js').ChatLine[]} */
    this.chat = [];
  }

  /** Game time to draw, in microseconds; NaN before anything is known. */
  now() {
    return this.clock.now(this.localNow());
  }

  /** Whether game time stands still because nothing was heard (P3.5). */
  frozen() {
    return this.clock.frozen(this.localNow());
  }

  /**
   * Takes in the answer to a join. During a move two connections are open, and
   * the new one may start from a place that this room has passed already: then
   * its snapshot is old news. It is not when its own connection was further: what
   * was behind it is lost, and its numbers are used again.
   * @param {import('./messages.js').Joined} m
   * @param {boolean} back whether its connection was further
   */
  joined(m, back) {
    this.epoch = Math.max(this.epoch, m.epoch);
    const sameLog = this.position?.log === m.position.log;
    if (back || (this.position && !sameLog)) {
      this.clock.reset();
      this.epoch = m.epoch;
    }
    this.clock.sample(m.t, this.localNow());
    const passed = !back && sameLog && this.position !== null && this.position.seq > m.position.seq;
    if (!m.recovered && !passed) {
      this.position = { log: m.position.log, seq: m.position.seq };
      this.emit('snapshot', { snapshot: m.snapshot, you: m.you ?? null, t: m.t });
    } else {
      this.emit('you', { you: m.you ?? null });
    }
    if (m.was_recovering) this.emit('resumed', { recovered: m.recovered, source: m.source });
    this.#players(m.players);
    if (m.chat) {
      this.chat = m.chat.slice(-CHAT_LINES);
      this.emit('chatlog', this.chat);
    }
  }

  /**
   * Takes in an update that its connection found in order.
   * @param {import('./messages.js').Update} m
   * @param {string | undefined} log the log it is from
   * @returns {boolean} false if it does not follow what is known
   */
  update(m, log) {
    if (!this.position || log !== this.position.log) return true; // the other connection of a move, from another log
    if (m.seq <= this.position.seq) return true;
    if (m.seq !== this.position.seq + 1) return false;
    this.position.seq = m.seq;
    this.clock.sample(m.t, this.localNow());
    this.emit('update', { seq: m.seq, t: m.t, events: m.events });
    return true;
  }

  /** @param {import('./messages.js').Tick} m */
  tick(m) {
    this.epoch = Math.max(this.epoch, m.epoch);
    this.clock.sample(m.t, this.localNow());
  }

  /** @param {import('./messages.js').ChatLine} line */
  line(line) {
    if (this.chat.some((known) => known.id === line.id)) return;
    this.chat.push(line);
    if (this.chat.length > CHAT_LINES) this.chat.shift();
    this.emit('chat', line);
  }

  /** @param {import('./messages.js').Presence} m */
  presence(m) {
    this.#players(m.players);
  }

  /** @param {number} n */
  #players(n) {
    this.players = n;
    this.emit('players', n);
  }
}
