// @ts-check
import { button, byId, closeOnBackdrop, dialog, h, input, text } from '../ui/dom.js';
import { count, moment } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { api } from './api.js';
import { SettingsDialog } from './settings.js';
import { badge, num, table } from './table.js';

/** @typedef {{id: string, uuid: string, game: string, name: string, state: string, partition: number, created: number, players?: number}} Room */

/** What a state looks like. @type {Record<string, 'good' | 'warn' | ''>} */
const LOOK = { running: 'good', pausing: 'warn', paused: 'warn', closed: '' };

/** Actions that cannot be taken back are asked about first. */
const ASK = {
  void: {
    title: 'Void the current round?',
    text: 'Bets without an end are refunded, what was won stays won, and the seed is revealed. This cannot be taken back.',
    yes: 'Void the round',
  },
  close: {
    title: 'Close this room?',
    text: 'No further round starts, players are told, and the room disappears from the list. This cannot be taken back.',
    yes: 'Close the room',
  },
};

/** The rooms of the deployment and what can be done with them. */
export class Rooms {
  /** @param {() => void} changed something was done: what is shown is out of date */
  constructor(changed) {
    this.changed = changed;
    this.settings = new SettingsDialog(changed);
    /** rooms with an action under way */
    this.busy = new Set();
    closeOnBackdrop(dialog('create-dialog'));
    button('room-new').addEventListener('click', () => dialog('create-dialog').showModal());
    byId('create-form').addEventListener('submit', (ev) => {
      ev.preventDefault();
      void this.#create(/** @type {HTMLFormElement} */ (ev.target));
    });
    input('create-id').addEventListener('input', () => {
      const name = input('create-name');
      if (!name.dataset.typed) name.value = title(input('create-id').value);
    });
    input('create-name').addEventListener('input', () => {
      input('create-name').dataset.typed = 'yes';
    });
  }

  /** @param {Room[]} rooms */
  show(rooms) {
    table(
      'rooms',
      rooms.map((r) => [
        { class: '', of: [h('strong', null, r.name || r.id), h('small', null, r.id)] },
        r.game,
        badge(r.state, LOOK[r.state] ?? ''),
        num(count(r.players ?? 0)),
        num(r.partition),
        moment(r.created),
        { class: 'acts', of: this.#actions(r) },
      ]),
      'There is no room yet.',
    );
  }

  /** @param {Room} r */
  #actions(r) {
    const act = (/** @type {string} */ op, /** @type {string} */ label, kind = '') =>
      h('button', { class: 'button small ' + kind, disabled: this.busy.has(r.id), dataset: { act: op, room: r.id }, onClick: () => void this.#act(r, op) }, label);
    if (r.state === 'closed') return [];
    return [
      r.state === 'paused' ? act('start', 'Start', 'primary') : null,
      r.state === 'running' ? act('pause', 'Pause') : null,
      r.state === 'pausing' ? act('resume', 'Resume') : null,
      r.state === 'paused' ? null : act('void', 'Void'),
      h('button', { class: 'button small', dataset: { act: 'settings', room: r.id }, onClick: () => void this.settings.open(r) }, 'Settings'),
      act('close', 'Close', 'danger'),
    ];
  }

  /**
   * @param {Room} r
   * @param {string} op
   */
  async #act(r, op) {
    if ((op === 'void' || op === 'close') && !(await confirm(ASK[op], r.name || r.id))) return;
    this.busy.add(r.id);
    try {
      await api('POST', `/rooms/${encodeURIComponent(r.id)}/${op}`, {});
      toast(`${r.name || r.id}: ${op} is done.`, 'good');
    } catch (err) {
      toast(words(/** @type {any} */ (err)), 'bad');
    } finally {
      this.busy.delete(r.id);
      this.changed();
    }
  }

  /** @param {HTMLFormElement} form */
  async #create(form) {
    const f = new FormData(form);
    const room = { id: f.get('id'), name: f.get('name'), game: f.get('game'), paused: f.has('paused') };
    try {
      await api('POST', '/rooms', room);
      dialog('create-dialog').close();
      form.reset();
      delete input('create-name').dataset.typed;
      toast(`${room.name} is there.`, 'good');
      this.changed();
    } catch (err) {
      toast(words(/** @type {any} */ (err)), 'bad');
    }
  }
}

/** @param {string} id */
function title(id) {
  const s = id.replaceAll(/[-_]+/g, ' ').trim();
  return s.charAt(0).toUpperCase() + s.slice(1);
}

/**
 * @param {{title: string, text: string, yes: string}} ask
 * @param {string} what
 * @returns {Promise<boolean>}
 */
function confirm(ask, what) {
  const d = dialog('confirm-dialog');
  text(byId('confirm-title'), ask.title);
  text(byId('confirm-text'), `${what}: ${ask.text}`);
  text(byId('confirm-yes'), ask.yes);
  d.returnValue = 'no';
  d.showModal();
  return new Promise((resolve) => d.addEventListener('close', () => resolve(d.returnValue === 'yes'), { once: true }));
}
