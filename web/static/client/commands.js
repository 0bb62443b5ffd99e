// @ts-check
// Commands and their one answer each (docs/protocol.md section 4).

/** Commands that a connection may have under way: one more would be `busy` (P4.6). */
const IN_FLIGHT = 16;
/** An answer can be lost on the way; the same command again brings the same answer (P4.3). */
const ASK_AGAIN_MS = 4000;
const ASK_AGAIN_MAX_MS = 20000;
/** Wait after a refusal that says "not known yet, ask again" (P4.5). */
const REFUSED_WAIT_MS = 400;
/**
 * Refusals of a gateway after which the same command is sent again. The room's
 * own `temporarily_unavailable` is an answer like any other: it stays.
 */
const AGAIN = new Set(['unavailable', 'busy', 'rate_limited']);

/** A command that was refused. */
export class CommandError extends Error {
  /** @param {import('./messages.js').WireError} e */
  constructor(e) {
    super(e.message || e.code);
    this.name = 'CommandError';
    this.code = e.code;
    this.temporary = !!e.temporary;
  }
}

/**
 * @typedef {object} Pending
 * @property {{type: 'cmd', room: string, key: string, op: string, round?: number, args?: object}} message
 * @property {(result: any) => void} resolve
 * @property {(err: CommandError) => void} reject
 * @property {boolean} sent on the connection in use
 * @property {number} wait until it is sent again, ms
 * @property {number} due local time at which it is sent again
 * @property {number} until local time after which nothing is sent again
 */

/** The commands of one client that wait for their answer. */
export class Commands {
  /**
   * @param {() => number} now
   * @param {(room: string) => ((m: object) => void) | null} route how to send for a room, null while that is impossible
   */
  constructor(now, route) {
    this.now = now;
    this.route = route;
    /** @type {Map<string, Pending>} */
    this.pending = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * Sends a command, at once or as soon as its room is joined, and again with
   * the same key until its answer is there.
   * @param {string} room
   * @param {string} op
   * @param {{round?: number, args?: object, key?: string, patience?: number}} [o] patience: ms after which the command is
   *   given up with the code `no_answer`; it may have taken effect all the same
   * @returns {Promise<any>} the result; rejects with a CommandError
   */
  send(room, op, o = {}) {
    const key = o.key ?? uuid();
    const message = /** @type {Pending['message']} */ ({ type: 'cmd', room, key, op });
    if (o.round !== undefined) message.round = o.round;
    if (o.args) message.args = o.args;
    return new Promise((resolve, reject) => {
      const until = this.now() + (o.patience ?? 60000);
      this.pending.set(room + ' ' + key, { message, resolve, reject, sent: false, wait: ASK_AGAIN_MS, due: 0, until });
      this.flush();
    });
  }

  /** @param {import('./messages.js').Answer} m */
  answer(m) {
    const id = m.room + ' ' + m.key;
    const p = this.pending.get(id);
    if (!p) return;
    if (m.ok) {
      this.pending.delete(id);
      p.resolve(m.result ?? {});
    } else {
      const e = m.error ?? { code: 'unavailable', message: '' };
      if (AGAIN.has(e.code) && this.now() < p.until) {
        p.due = this.now() + REFUSED_WAIT_MS;
      } else {
        this.pending.delete(id);
        p.reject(new CommandError(e));
      }
    }
    this.flush();
  }

  /**
   * Forgets what was sent: the connection is another one. With a room, only that
   * room's.
   * @param {string} [room]
   */
  lost(room) {
    for (const p of this.pending.values()) {
      if (room === undefined || p.message.room === room) p.sent = false;
    }
  }

  /**
   * Refuses what waits: for a room that is gone, or everything at the end.
   * @param {string} code
   * @param {string} message
   * @param {string} [room]
   */
  fail(code, message, room) {
    for (const [id, p] of [...this.pending]) {
      if (room !== undefined && p.message.room !== room) continue;
      this.pending.delete(id);
      p.reject(new CommandError({ code, message }));
    }
  }

  /** Sends what can and must be sent now, in the order of the calls. */
  flush() {
    clearTimeout(this.timer);
    const now = this.now();
    let underway = 0;
    let next = Infinity;
    for (const [id, p] of [...this.pending]) {
      if (now >= p.until) {
        this.pending.delete(id);
        p.reject(new CommandError({ code: 'no_answer', message: 'no answer came in time' }));
        continue;
      }
      next = Math.min(next, p.until);
      const send = this.route(p.message.room);
      if (!send || underway >= IN_FLIGHT) continue;
      underway++;
      if (!p.sent || now >= p.due) this.#transmit(p, send, now);
      next = Math.min(next, p.due);
    }
    if (next < Infinity) this.timer = setTimeout(() => this.flush(), Math.max(10, next - now));
  }

  /**
   * @param {Pending} p
   * @param {(m: object) => void} send
   * @param {number} now
   */
  #transmit(p, send, now) {
    p.wait = p.sent ? Math.min(ASK_AGAIN_MAX_MS, p.wait * 2) : ASK_AGAIN_MS;
    p.sent = true;
    p.due = now + p.wait;
    send(p.message);
  }
}

/**
 * A random UUID (version 4). crypto.randomUUID exists only on https and
 * localhost; getRandomValues exists everywhere.
 */
export function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const hex = [...b].map((x) => x.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
