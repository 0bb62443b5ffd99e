// @ts-check
import { byId, fill, h } from '../ui/dom.js';

/**
 * A cell: a text, or an element with what it is.
 * @typedef {string | number | Node | {class: string, of: (string | number | Node | null | undefined | false)[]}} Cell
 */

/**
 * Fills the body of a table. A cell that says what it said before stays the
 * element it was, with its focus and its selection: tables are filled again
 * every few seconds. So what its listeners use must be a part of the cell, as an
 * attribute at least.
 * @param {string} id of the table
 * @param {Cell[][]} rows
 * @param {string} none what stands there when there are no rows
 */
export function table(id, rows, none) {
  const body = /** @type {HTMLTableElement} */ (byId(id)).tBodies[0];
  const columns = byId(id).querySelectorAll('thead th').length;
  const cells = rows.length ? rows.map((row) => row.map(cell)) : [[h('td', { class: 'none', colSpan: columns }, none)]];
  while (body.rows.length > cells.length) body.deleteRow(-1);
  while (body.rows.length < cells.length) body.insertRow();
  cells.forEach((row, i) => update(body.rows[i], row));
}

/**
 * @param {HTMLTableRowElement} tr
 * @param {HTMLTableCellElement[]} cells
 */
function update(tr, cells) {
  if (tr.cells.length !== cells.length) return fill(tr, cells);
  cells.forEach((next, i) => {
    const old = tr.cells[i];
    if (old.isEqualNode(next)) return;
    const focused = old.contains(document.activeElement);
    old.replaceWith(next);
    if (focused) /** @type {HTMLElement | null} */ (next.querySelector('button:enabled'))?.focus();
  });
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
