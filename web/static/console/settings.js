// @ts-check
// The settings form. Times are shown in seconds, money in credits, multipliers
// as such; what is sent are the integers of the protocol, and only those changed.

import { button, byId, closeOnBackdrop, dialog, fill, h, text } from '../ui/dom.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { api } from './api.js';

/** @typedef {{label: string, hint: string, unit: number, text?: boolean}} Field unit: how many of the protocol's are one shown */

/** @type {Record<string, Field>} */
const FIELDS = {
  rtp_bp: { label: 'Return to player', hint: 'per cent', unit: 100 },
  betting_ms: { label: 'Betting', hint: 'seconds', unit: 1000 },
  lock_ms: { label: 'Locked, at most', hint: 'seconds', unit: 1000 },
  crashed_ms: { label: 'After a crash', hint: 'seconds', unit: 1000 },
  min_stake: { label: 'Smallest stake', hint: 'credits', unit: 100 },
  max_stake: { label: 'Largest stake', hint: 'credits', unit: 100 },
  max_win: { label: 'Highest win of a player', hint: 'credits a round', unit: 100 },
  max_round_win: { label: 'Highest win of all', hint: 'credits a round', unit: 100 },
  cap: { label: 'Highest multiplier', hint: 'times the stake', unit: 100 },
  gathering_ms: { label: 'Gathering', hint: 'seconds', unit: 1000 },
  running_ms: { label: 'Running', hint: 'seconds', unit: 1000 },
  finished_ms: { label: 'Result', hint: 'seconds', unit: 1000 },
  max_taps_per_s: { label: 'Taps a second, at most', hint: 'per player', unit: 1 },
  tick_ms: { label: 'Clock', hint: 'milliseconds between ticks', unit: 1 },
};

export class SettingsDialog {
  /** @param {() => void} saved */
  constructor(saved) {
    this.saved = saved;
    this.room = '';
    /** @type {Record<string, number>} */
    this.base = {};
    closeOnBackdrop(dialog('settings-dialog'));
    byId('settings-form').addEventListener('submit', (ev) => {
      ev.preventDefault();
      void this.#save();
    });
    byId('settings-form').addEventListener('input', () => this.#mark());
  }

  /** @param {{id: string, name: string}} room */
  async open(room) {
    this.room = room.id;
    try {
      const r = await api('GET', '/rooms/' + encodeURIComponent(room.id) + '/settings');
      this.#show(room, r.settings, r.next_settings ?? null);
    } catch (err) {
      toast(words(/** @type {any} */ (err)), 'bad');
    }
  }

  /**
   * @param {{id: string, name: string}} room
   * @param {Record<string, number>} current
   * @param {Record<string, number> | null} next
   */
  #show(room, current, next) {
    this.base = next ?? current;
    text(byId('settings-title'), `Settings of ${room.name || room.id}`);
    const note = next
      ? `Version ${current.version} is in force. Version ${next.version} is shown: it begins with the first round that has no bets yet.`
      : `Version ${current.version} is in force. A change makes a new version, which begins with the first round that has no bets yet.`;
    text(byId('settings-note'), note);
    const names = Object.keys(FIELDS).filter((name) => name in this.base);
    fill(byId('settings-fields'), names.map((name) => this.#field(name, current)));
    this.#mark();
    dialog('settings-dialog').showModal();
  }

  /**
   * @param {string} name
   * @param {Record<string, number>} current
   */
  #field(name, current) {
    const f = FIELDS[name];
    const id = 'set-' + name;
    const differs = current[name] !== this.base[name] ? ` · in force: ${current[name] / f.unit}` : '';
    return h(
      'div',
      { class: 'setting' },
      h('label', { htmlFor: id }, f.label),
      h('input', { id, name, inputMode: 'decimal', autocomplete: 'off', required: true, value: String(this.base[name] / f.unit) }),
      h('small', null, f.hint + differs),
    );
  }

  /** @returns {{patch: Record<string, number>, wrong: string[]}} */
  #changes() {
    /** @type {Record<string, number>} */
    const patch = {};
    const wrong = [];
    for (const el of /** @type {NodeListOf<HTMLInputElement>} */ (byId('settings-fields').querySelectorAll('input'))) {
      const n = Number(el.value.trim().replaceAll(',', '')) * FIELDS[el.name].unit;
      const whole = Math.round(n);
      if (el.value.trim() === '' || !Number.isFinite(n) || Math.abs(n - whole) > 1e-6) wrong.push(FIELDS[el.name].label);
      else if (whole !== this.base[el.name]) patch[el.name] = whole;
      el.dataset.changed = el.name in patch ? 'yes' : 'no';
    }
    return { patch, wrong };
  }

  #mark() {
    const { patch, wrong } = this.#changes();
    const n = Object.keys(patch).length;
    button('settings-save').disabled = n === 0 || wrong.length > 0;
    text(byId('settings-changes'), wrong.length ? 'Not a number: ' + wrong.join(', ') : n === 1 ? '1 change' : `${n} changes`);
  }

  async #save() {
    const { patch, wrong } = this.#changes();
    if (wrong.length) return toast('Not a number: ' + wrong.join(', '), 'bad');
    if (!Object.keys(patch).length) return dialog('settings-dialog').close();
    try {
      await api('PATCH', '/rooms/' + encodeURIComponent(this.room) + '/settings', patch);
      dialog('settings-dialog').close();
      toast('A new version of the settings is stored.', 'good');
      this.saved();
    } catch (err) {
      const e = /** @type {any} */ (err);
      toast(e.code === 'bad_settings' ? e.message : words(e), 'bad');
    }
  }
}
