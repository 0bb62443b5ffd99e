// @ts-check
import { byId, fill, h, input } from '../ui/dom.js';
import { moment, money } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { api } from './api.js';
import { badge, table } from './table.js';

/** Session events that the list of recent players is made from. */
const RECENT = 100;

/** The forms that concern one player. */
export class Players {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.#form('credit-form', 'credit', (f) => {
      const amount = Math.round(Number(String(f.get('amount')).replaceAll(',', '')) * 100);
      if (!Number.isSafeInteger(amount) || amount < 100) throw new Error('Credits: at least 1.00');
      return { body: { amount }, done: `${money(amount)} credits are booked` };
    });
    this.#form('mute-form', 'mute', (f) => sanction(f, 'muted', 'The mute has ended'));
    this.#form('kick-form', 'kick', (f) => sanction(f, 'out', 'The kick has ended'));
  }

  /** Reads who was here lately. */
  async refresh() {
    const answer = await api('GET', `/sessions?limit=${RECENT}`);
    /** @type {Map<string, any>} the newest event of each player */
    const newest = new Map();
    for (const e of answer.events ?? []) if (!newest.has(e.player)) newest.set(e.player, e);
    const players = [...newest.values()];
    fill(byId('known-players'), players.map((e) => h('option', { value: e.player }, e.name)));
    table(
      'recent',
      players.map((e) => [
        h('strong', null, e.name || e.player),
        h('code', null, e.player),
        badge(e.kind, e.kind === 'end' ? '' : 'good'),
        moment(e.at),
        e.gateway,
        { class: 'acts', of: [h('button', { class: 'button small', dataset: { player: e.player }, onClick: () => choose(e.player) }, 'Choose')] },
      ]),
      'Nobody has been here yet.',
    );
  }

  /**
   * @param {string} id of the form
   * @param {string} op
   * @param {(f: FormData) => {body: object, done: string}} read
   */
  #form(id, op, read) {
    const form = /** @type {HTMLFormElement} */ (byId(id));
    form.addEventListener('submit', async (ev) => {
      ev.preventDefault();
      const f = new FormData(form);
      const player = String(f.get('player')).trim();
      try {
        const { body, done } = read(f);
        await api('POST', `/players/${encodeURIComponent(player)}/${op}`, { ...body, reason: String(f.get('reason')).trim() });
        toast(`${player}: ${done}.`, 'good');
        this.changed();
      } catch (err) {
        toast(words(/** @type {any} */ (err)), 'bad');
      }
    });
  }
}

/** @param {string} player */
function choose(player) {
  for (const form of ['credit', 'mute', 'kick']) input(form + '-player').value = player;
  input('credit-player').focus();
}

/**
 * @param {FormData} f
 * @param {string} what
 * @param {string} ended
 */
function sanction(f, what, ended) {
  const seconds = Number(f.get('minutes')) * 60;
  if (seconds === 0) return { body: { seconds }, done: ended };
  return { body: { seconds }, done: `${what} until ${moment(Date.now() + seconds * 1000)}` };
}
