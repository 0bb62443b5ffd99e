// @ts-check
// The two lists that are read page by page: audit and sessions.

import { button, h } from '../ui/dom.js';
import { moment, money } from '../ui/format.js';
import { words } from '../ui/words.js';
import { api } from './api.js';
import { badge, table } from './table.js';

/** @typedef {import('./table.js').Cell[]} Row */

/** A list of which the newest page is refreshed and older ones are added on demand. */
class Paged {
  /**
   * @param {string} id of the table, and of its button with "-more"
   * @param {(answer: any) => Row[]} rows
   * @param {string} none
   */
  constructor(id, rows, none) {
    this.id = id;
    this.rows = rows;
    this.none = none;
    /** @type {Row[]} */
    this.older = [];
    this.next = '';
    button(id + '-more').addEventListener('click', () => void this.more());
  }

  /** Reads the newest page, unless older ones are being looked at. */
  async refresh() {
    if (this.older.length) return;
    const answer = await api('GET', `/${this.id}?limit=50`);
    this.newest = this.rows(answer);
    this.next = answer.next ?? '';
    this.#show();
  }

  async more() {
    if (!this.next) return;
    const answer = await api('GET', `/${this.id}?limit=50&before=${encodeURIComponent(this.next)}`);
    this.older.push(...this.rows(answer));
    this.next = answer.next ?? '';
    this.#show();
  }

  /** Goes back to the newest page. */
  reset() {
    this.older = [];
  }

  #show() {
    table(this.id, [...(this.newest ?? []), ...this.older], this.none);
    button(this.id + '-more').hidden = !this.next;
  }
}

export function auditList() {
  return new Paged('audit', (a) => (a.entries ?? []).map(auditRow), 'No operator has done anything yet.');
}

export function sessionList() {
  return new Paged('sessions', (a) => (a.events ?? []).map(sessionRow), 'Nobody has been here yet.');
}

/**
 * @param {any} e
 * @returns {Row}
 */
function auditRow(e) {
  return [
    moment(e.action.at),
    h('strong', null, e.action.operator),
    e.action.op,
    e.room === '_' ? '–' : e.room,
    { class: 'wrap', of: [details(e.action)] },
    { class: 'wrap', of: e.outcome ? [badge('refused', 'bad'), h('small', null, words(e.outcome))] : [badge('done', 'good')] },
  ];
}

/** @param {any} action */
function details(action) {
  const a = action.args ?? {};
  const parts = [];
  for (const [name, value] of Object.entries(a)) {
    if (value === '' || value === null || name === 'uuid') continue;
    if (name === 'amount') parts.push(money(/** @type {number} */ (value)) + ' credits');
    else if (name === 'until') parts.push(value ? 'until ' + moment(/** @type {number} */ (value)) : 'ended');
    else parts.push(`${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  }
  return parts.join(' · ') || '–';
}

/**
 * @param {any} e
 * @returns {Row}
 */
function sessionRow(e) {
  /** @type {Record<string, 'good' | ''>} */
  const look = { login: 'good', resume: '', end: '' };
  return [
    moment(e.at),
    badge(e.kind, look[e.kind] ?? ''),
    { class: '', of: [h('strong', null, e.name || e.player), h('small', null, h('code', null, e.player))] },
    h('code', null, String(e.session).slice(0, 13)),
    e.gateway,
    e.address,
    e.reason || '–',
  ];
}
