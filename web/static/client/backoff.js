// @ts-check
// When to connect again, and whether at all (docs/protocol.md P6.4 to P6.6).

const FLOOR_MS = 500;
const FIRST_BOUND_MS = 1000;
const LAST_BOUND_MS = 20000;
/** A connection that lasted this long clears the bound. */
export const STABLE_MS = 10000;

/**
 * Full jitter: a random time between half a second and a bound that doubles. A
 * thousand clients that lost the same gateway come back spread out.
 */
export class Backoff {
  /** @param {() => number} random from 0 (included) to 1 (excluded) */
  constructor(random) {
    this.random = random;
    this.bound = FIRST_BOUND_MS;
  }

  /** @returns {number} ms to wait before the next attempt */
  next() {
    const wait = FLOOR_MS + this.random() * (this.bound - FLOOR_MS);
    this.bound = Math.min(LAST_BOUND_MS, this.bound * 2);
    return wait;
  }

  /** To be called after a connection was stable for STABLE_MS. */
  reset() {
    this.bound = FIRST_BOUND_MS;
  }
}

/** Codes of RFC 6455 itself after which another attempt makes sense: the other side or the way there failed. */
const RETRY = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015]);

/**
 * Whether a close code advises to connect again. From 3000 on the range says it.
 * @param {number} code
 */
export function shouldReconnect(code) {
  if (code < 3000) return RETRY.has(code);
  return (code >= 3000 && code < 3500) || (code >= 4000 && code < 4500);
}
