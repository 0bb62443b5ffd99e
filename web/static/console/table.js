// @ts-check
import { byId, fill, h } from '../ui/dom.js';

/**
 * A cell: a text, or an element with what it is.
 * @typedef {string | number | Node | {class: string, of: (string | number | Node | null | undefined | false)[]}} Cell
 */

/**
 * Fills the body of a table.
 * @param {string} id of the table
 * @param {Cell[][]} rows
 * @param {string} none what stands there when there are no rows
 */
export function table(id, rows, none) {
  const body = /** @type {HTMLTableElement} */ (byId(id)).tBodies[0];
  if (!rows.length) {
    const columns = byId(id).querySelectorAll('thead th').length;
    fill(body, h('tr', null, h('td', { class: 'none', colSpan: columns }, none)));
    return;
  }
  fill(body, rows.map((row) => h('tr', null, row.map(cell))));
}

/** @param {Cell} c */
function cell(c) {
  if (typeof c === 'object' && !(c instanceof Node)) return h('td', { class: c.class }, c.of);
  return h('td', null, c);
}

/**
 * A number that stands right.
 * @param {string | number | Node} of
 */
export function num(of) {
  return { class: 'num', of: [of] };
}

/**
 * @param {string} words
 * @param {'' | 'good' | 'warn' | 'bad'} kind
 */
export function badge(words, kind) {
  return h('span', { class: 'badge ' + kind }, words);
}

/** @param {number} ms */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return s + ' s';
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
