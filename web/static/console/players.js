// @ts-check
import { byId } from '../ui/dom.js';
import { money } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { api } from './api.js';

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

/**
 * @param {FormData} f
 * @param {string} what
 * @param {string} ended
 */
function sanction(f, what, ended) {
  const minutes = Number(f.get('minutes'));
  if (minutes === 0) return { body: { until: 0 }, done: ended };
  const until = Date.now() + minutes * 60_000;
  return { body: { until }, done: `${what} until ${new Date(until).toLocaleString()}` };
}
