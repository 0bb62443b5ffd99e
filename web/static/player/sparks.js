// @ts-check
// Particles behind the head of the curve and at its crash: decoration only.

/** @typedef {{x: number, y: number, vx: number, vy: number, born: number, life: number, size: number, color: string}} Spark */

const MOST = 120;
const TRAIL = ['#978bff', '#38d9c4', '#ffffff'];
const FIRE = ['#ff6478', '#ffbe55', '#ffffff', '#ff8a6a'];

export class Sparks {
  constructor() {
    /** @type {Spark[]} */
    this.all = [];
    this.trailed = 0;
  }

  /**
   * A spark left behind, at most one in 40 ms.
   * @param {number} x
   * @param {number} y
   * @param {number} at local ms
   */
  trail(x, y, at) {
    if (at - this.trailed < 40) return;
    this.trailed = at;
    this.#add(x, y, -30 - 50 * Math.random(), 20 + 50 * Math.random(), at, 700, TRAIL);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} at local ms
   */
  burst(x, y, at) {
    for (let i = 0; i < 60; i++) {
      const angle = Math.random() * 2 * Math.PI;
      const speed = 60 + 220 * Math.random();
      this.#add(x, y, Math.cos(angle) * speed, Math.sin(angle) * speed, at, 900, FIRE);
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} vx pixels per second
   * @param {number} vy
   * @param {number} at
   * @param {number} life ms
   * @param {string[]} colors
   */
  #add(x, y, vx, vy, at, life, colors) {
    if (this.all.length >= MOST) this.all.shift();
    const color = colors[Math.floor(Math.random() * colors.length)];
    this.all.push({ x, y, vx, vy, born: at, life: life * (0.5 + Math.random() / 2), size: 1 + 1.6 * Math.random(), color });
  }

  /**
   * @param {CanvasRenderingContext2D} g
   * @param {number} at local ms
   */
  draw(g, at) {
    this.all = this.all.filter((s) => at - s.born < s.life);
    for (const s of this.all) {
      const t = (at - s.born) / 1000;
      g.globalAlpha = 1 - (at - s.born) / s.life;
      g.fillStyle = s.color;
      g.beginPath();
      g.arc(s.x + s.vx * t, s.y + s.vy * t + 90 * t * t, s.size, 0, 7);
      g.fill();
    }
    g.globalAlpha = 1;
  }
}
