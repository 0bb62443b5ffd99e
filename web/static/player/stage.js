// @ts-check
// The curve on a canvas. The window onto it follows from the time of the flight
// alone, so that it grows without a jump and two players see the same picture.

import { multiplierAt, timeOf } from '../client/crash.js';
import { money, times } from '../ui/format.js';
import { Sparks } from './sparks.js';

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
/** How long a cash-out of somebody else stays on the curve, in microseconds of game time. */
const LABEL_US = 2_600_000;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const SECONDS = [1, 2, 5, 10, 20, 30, 60];

/**
 * @typedef {object} Picture what is to be drawn
 * @property {import('../client/crash.js').Phase} phase
 * @property {number} us microseconds of the flight; at its end those of the crash
 * @property {boolean} frozen
 * @property {{name: string, centi: number, payout: number, mine: boolean}[]} outs
 */

/** @typedef {{left: number, right: number, top: number, bottom: number, seconds: number, most: number}} View */

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => boolean} calm whether the player asked for less motion
   */
  constructor(canvas, calm) {
    this.canvas = canvas;
    this.g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.calm = calm;
    this.width = 0;
    this.height = 0;
    this.sparks = new Sparks();
    this.crashedAt = 0;
    this.wasCrashed = false;
    /** @type {{x: number, y: number, width: number}[]} labels of this frame, so that none is written over another */
    this.labels = [];
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  #resize() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /**
   * Draws a frame.
   * @param {Picture} p
   * @param {number} at local ms
   */
  draw(p, at) {
    const { g } = this;
    if (this.width < 10 || this.height < 10) return;
    const crashed = p.phase === 'crashed' && p.us > 0;
    if (crashed && !this.wasCrashed) this.crashedAt = at;
    g.save();
    g.clearRect(0, 0, this.width, this.height);
    if (crashed) this.#shake(at - this.crashedAt);
    const v = this.#view(p.us);
    const drawn = p.phase === 'flying' || crashed;
    g.globalAlpha = drawn ? 1 : 0.55; // behind the countdown the axes step back
    this.#axes(v);
    g.globalAlpha = 1;
    if (drawn) {
      this.#curve(v, p, crashed);
      this.#outs(v, p);
      this.#head(v, p, crashed, at);
    }
    if (!this.calm()) this.sparks.draw(g, at);
    g.restore();
    this.wasCrashed = crashed;
  }

  /** @param {number} ms since the crash */
  #shake(ms) {
    if (ms > 350 || this.calm()) return;
    const size = 7 * (1 - ms / 350);
    this.g.translate(Math.sin(ms * 0.09) * size, Math.cos(ms * 0.11) * size);
  }

  /**
   * @param {number} us
   * @returns {View}
   */
  #view(us) {
    const s = Math.max(0, us) / 1e6;
    const m = multiplierAt(us);
    return {
      left: 14,
      right: this.width - 50,
      top: Math.min(58, this.height * 0.2),
      bottom: this.height - 26,
      seconds: Math.max(8, s * 1.14),
      most: Math.max(1.6, 1 + (m - 1) * 1.28),
    };
  }

  /**
   * @param {View} v
   * @param {number} us
   */
  #x(v, us) {
    return v.left + ((v.right - v.left) * us) / 1e6 / v.seconds;
  }

  /**
   * @param {View} v
   * @param {number} m
   */
  #y(v, m) {
    return v.bottom - ((v.bottom - v.top) * (m - 1)) / (v.most - 1);
  }

  /** @param {View} v */
  #axes(v) {
    const { g } = this;
    g.font = FONT;
    g.lineWidth = 1;
    g.textBaseline = 'middle';
    g.textAlign = 'left';
    const room = Math.max(2, Math.floor((v.bottom - v.top) / 38));
    const step = STEPS.find((s) => (v.most - 1) / s <= room) ?? 10000;
    for (let k = 0; 1 + k * step <= v.most + 1e-9; k++) {
      const m = 1 + k * step;
      const y = this.#y(v, m);
      if (y < v.top - 24) break;
      g.strokeStyle = k === 0 ? '#3a4768' : '#222c43';
      g.beginPath();
      g.moveTo(v.left, Math.round(y) + 0.5);
      g.lineTo(v.right, Math.round(y) + 0.5);
      g.stroke();
      g.fillStyle = '#8391b3';
      g.fillText((step < 1 ? m.toFixed(1) : String(Math.round(m))) + '×', v.right + 8, y);
    }
    g.textAlign = 'center';
    const fit = Math.max(3, Math.floor((v.right - v.left) / 74));
    const every = SECONDS.find((s) => v.seconds / s <= fit) ?? 120;
    for (let s = every; s <= v.seconds; s += every) {
      const x = this.#x(v, s * 1e6);
      if (x > v.right - 8) break;
      g.fillStyle = '#7482a4';
      g.fillText(s + ' s', x, v.bottom + 14);
      g.fillStyle = '#3a4768';
      g.fillRect(Math.round(x), v.bottom - 3, 1, 6);
    }
  }

  /**
   * @param {View} v
   * @param {Picture} p
   * @param {boolean} crashed
   */
  #curve(v, p, crashed) {
    const { g } = this;
    const end = this.#x(v, p.us);
    const path = new Path2D();
    path.moveTo(v.left, this.#y(v, 1));
    for (let x = v.left + 3; x < end; x += 3) {
      path.lineTo(x, this.#y(v, multiplierAt(((x - v.left) / (v.right - v.left)) * v.seconds * 1e6)));
    }
    path.lineTo(end, this.#y(v, multiplierAt(p.us)));
    const [from, to] = crashed ? ['#ff8a6a', '#ff5a72'] : p.frozen ? ['#56627f', '#7d8aab'] : ['#38d9c4', '#978bff'];
    const area = new Path2D(path);
    area.lineTo(end, v.bottom);
    area.lineTo(v.left, v.bottom);
    const below = g.createLinearGradient(0, v.top, 0, v.bottom);
    below.addColorStop(0, to + '42');
    below.addColorStop(1, from + '05');
    g.fillStyle = below;
    g.fill(area);
    const stroke = g.createLinearGradient(v.left, 0, Math.max(v.left + 1, end), 0);
    stroke.addColorStop(0, from);
    stroke.addColorStop(1, to);
    g.strokeStyle = stroke;
    g.lineJoin = g.lineCap = 'round';
    for (const [width, alpha] of [[14, 0.1], [8, 0.18], [3.5, 1]]) {
      g.globalAlpha = alpha;
      g.lineWidth = width;
      g.stroke(path);
    }
    g.globalAlpha = 1;
  }

  /**
   * Cash-outs as dots on the curve: one's own stay, the others' fade away. The
   * player's own and the newest are labelled first.
   * @param {View} v
   * @param {Picture} p
   */
  #outs(v, p) {
    const { g } = this;
    g.textBaseline = 'middle';
    this.labels.length = 0;
    for (const o of p.outs.toReversed()) {
      const us = timeOf(o.centi);
      const age = p.us - us;
      if (age < 0) continue;
      const x = this.#x(v, us);
      const y = this.#y(v, o.centi / 100);
      const fresh = Math.max(0, 1 - age / LABEL_US);
      g.globalAlpha = o.mine ? 1 : 0.35 + 0.65 * fresh;
      g.fillStyle = o.mine ? '#ffbe55' : '#d6def5';
      g.beginPath();
      g.arc(x, y, o.mine ? 5 : 2.6, 0, 7);
      g.fill();
      g.globalAlpha = o.mine ? 1 : fresh;
      if (!o.mine && (fresh === 0 || p.phase !== 'flying')) continue;
      this.#label(v, o, { x, y, drift: o.mine || this.calm() ? 0 : 12 * (1 - fresh) });
    }
    g.globalAlpha = 1;
  }

  /**
   * Writes a label where the curve is not: below its dot on the right, or above
   * it on the left if that would leave the picture.
   * @param {View} v
   * @param {Picture['outs'][number]} o
   * @param {{x: number, y: number, drift: number}} dot drift: how far the label has moved away from it
   */
  #label(v, o, dot) {
    const { g, labels } = this;
    const words = o.mine ? `You ${times(o.centi)}  +${money(o.payout)}` : o.name;
    g.textAlign = 'left';
    g.font = o.mine ? '600 ' + FONT : FONT;
    const { width } = g.measureText(words);
    const right = dot.x + 10 + width < this.width - 6;
    const x = right ? dot.x + 10 : dot.x - 10 - width;
    let y = right ? Math.min(dot.y + 12 + dot.drift, v.bottom - 9) : dot.y - 12 - dot.drift;
    const taken = () => labels.some((l) => x < l.x + l.width + 8 && l.x < x + width + 8 && Math.abs(l.y - y) < 14);
    if (!o.mine && taken()) return;
    while (taken()) y -= 14;
    labels.push({ x, y, width });
    g.fillText(words, x, y);
  }

  /**
   * @param {View} v
   * @param {Picture} p
   * @param {boolean} crashed
   * @param {number} at
   */
  #head(v, p, crashed, at) {
    const { g } = this;
    const x = this.#x(v, p.us);
    const y = this.#y(v, multiplierAt(p.us));
    if (crashed) {
      if (!this.wasCrashed) this.sparks.burst(x, y, at);
      const t = Math.min(1, (at - this.crashedAt) / 600);
      if (!this.calm() && t < 1) {
        g.strokeStyle = `rgb(255 100 120 / ${0.7 * (1 - t)})`;
        g.lineWidth = 3;
        g.beginPath();
        g.arc(x, y, 8 + 70 * t, 0, 7);
        g.stroke();
      }
      g.fillStyle = '#ff6478';
    } else {
      if (!p.frozen && !this.calm()) this.sparks.trail(x, y, at);
      g.fillStyle = p.frozen ? '#aab4cc40' : '#978bff50';
      g.beginPath();
      g.arc(x, y, this.calm() || p.frozen ? 12 : 12 + 2 * Math.sin(at / 140), 0, 7);
      g.fill();
      g.fillStyle = p.frozen ? '#c3cbe0' : '#fff';
    }
    g.beginPath();
    g.arc(x, y, 5.5, 0, 7);
    g.fill();
  }
}
