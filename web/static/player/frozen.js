// @ts-check
import { byId } from '../ui/dom.js';

/** Silence for this long is shown to the player; what is drawn stands still long before. */
const SAY_FROZEN_MS = 700;

/** The note that a room stands still because it is not heard. */
export class FrozenNote {
  /**
   * @param {string} id of the element with the words
   * @param {import('../client/tickcast.js').Client} client
   */
  constructor(id, client) {
    this.element = byId(id);
    this.client = client;
  }

  /**
   * Draws a frame.
   * @param {import('../client/tickcast.js').Room} room
   * @param {boolean} frozen the room stands still, and should not
   * @param {number} at local ms
   */
  frame(room, frozen, at) {
    // Without a connection the banner says more.
    const silent = this.client.status.state === 'online' && at - room.clock.lastSampleAt > SAY_FROZEN_MS;
    this.element.hidden = !(frozen && silent);
  }
}
