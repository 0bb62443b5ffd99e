// @ts-check
// The game clock of a room as a page may draw it (docs/protocol.md P3.5).

/** Drawing stops this long after the last sample. */
export const FREEZE_MS = 250;
/** Samples that the filter looks back on: 3 s at the default of 10 ticks a second. */
const WINDOW = 30;
/** An error larger than this is jumped, a smaller one is worked off smoothly. */
const JUMP_MS = 200;
/** How fast a small error is worked off: 1 ms in each 20 ms. */
const SLEW = 0.05;

/**
 * Maps a local monotonic clock to a room's game time. Each message that carries
 * game time is a sample: it was true when it was sent, and arrived later. The
 * sample that was under way for the shortest time is the best one, so the
 * mapping follows the largest (game − local) of the last samples.
 *
 * now never runs backwards (until reset), and stands still from 250 ms after
 * the last sample on: a frozen room must look frozen. After a freeze the samples
 * from before it say nothing, because game time stood still and local time
 * did not.
 */
export class GameClock {
  constructor() {
    /** @type {number[]} game − local, in ms, of the last samples */
    this.offsets = [];
    /** applied mapping in ms, or null before the first sample */
    /** @type {number | null} */
    this.offset = null;
    this.slewedAt = 0;
    this.lastSampleAt = -Infinity;
    /** newest game time that was heard of, in ms */
    this.newest = -Infinity;
    /** newest game time that was shown, in ms */
    this.shown = -Infinity;
  }

  /**
   * Takes in a sample.
   * @param {number} t game time in microseconds
   * @param {number} at local time of its arrival in ms
   */
  sample(t, at) {
    const game = t / 1000;
    if (game < this.newest) return; // older than what is known: says nothing new
    if (at - this.lastSampleAt > FREEZE_MS) {
      this.offsets.length = 0;
      this.offset = null;
    }
    this.newest = game;
    this.lastSampleAt = at;
    this.offsets.push(game - at);
    if (this.offsets.length > WINDOW) this.offsets.shift();
    this.#steer(at);
  }

  /**
   * Moves the applied mapping towards the best one.
   * @param {number} at
   */
  #steer(at) {
    const best = Math.max(...this.offsets);
    if (this.offset === null || Math.abs(best - this.offset) > JUMP_MS) {
      this.offset = best;
    } else {
      const step = SLEW * Math.max(0, at - this.slewedAt);
      this.offset += Math.max(-step, Math.min(step, best - this.offset));
    }
    this.slewedAt = at;
  }

  /**
   * The game time to draw.
   * @param {number} at local time in ms
   * @returns {number} microseconds, or NaN before the first sample
   */
  now(at) {
    if (this.offset === null) return NaN;
    const until = Math.min(at, this.lastSampleAt + FREEZE_MS);
    const game = Math.min(until + this.offset, this.newest + FREEZE_MS);
    this.shown = Math.max(this.shown, game);
    return this.shown * 1000;
  }

  /**
   * Whether the clock stands still because nothing was heard.
   * @param {number} at local time in ms
   */
  frozen(at) {
    return at - this.lastSampleAt > FREEZE_MS;
  }

  /** Forgets everything: for another log, whose time has nothing to do with this one's. */
  reset() {
    this.offsets.length = 0;
    this.offset = null;
    this.lastSampleAt = -Infinity;
    this.newest = -Infinity;
    this.shown = -Infinity;
  }
}
