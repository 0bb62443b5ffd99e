// @ts-check
// The ordering check of docs/protocol.md P3.3.

/**
 * What to do with an update, for one room on one connection:
 * 'next' take it, 'old' it was there already, 'gap' one before it is missing,
 * 'foreign' the room is not joined on this connection.
 * @typedef {'next' | 'old' | 'gap' | 'foreign'} Verdict
 */

/**
 * Follows the numbers of the updates of each room on one connection. A
 * connection is ordered, so a number that is missing on it does not come later.
 */
export class Order {
  constructor() {
    /** @type {Map<string, {log: string, next: number}>} */
    this.rooms = new Map();
  }

  /**
   * Updates behind the position are expected from here on.
   * @param {string} room
   * @param {import('./messages.js').Position} position
   * @returns {boolean} whether that is before what was expected of the same log: a connection never
   *   goes back but where the log lost its tail and its numbers are used again (P3.12)
   */
  start(room, position) {
    const before = this.rooms.get(room);
    this.rooms.set(room, { log: position.log, next: position.seq + 1 });
    return before !== undefined && before.log === position.log && position.seq + 1 < before.next;
  }

  /** @param {string} room */
  stop(room) {
    this.rooms.delete(room);
  }

  /**
   * The log that the room's updates on this connection are from.
   * @param {string} room
   */
  log(room) {
    return this.rooms.get(room)?.log;
  }

  /**
   * @param {string} room
   * @param {number} seq
   * @returns {Verdict}
   */
  check(room, seq) {
    const r = this.rooms.get(room);
    if (!r) return 'foreign';
    if (seq < r.next) return 'old';
    if (seq > r.next) return 'gap';
    r.next++;
    return 'next';
  }
}
