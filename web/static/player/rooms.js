// @ts-check
import { button, byId, dialog, fill, h, text } from '../ui/dom.js';
import { count, money, times } from '../ui/format.js';
import { words } from '../ui/words.js';
import { get } from './lists.js';

/** The room that everybody starts in where there is one. */
const LOBBY = 'lobby';

/** @type {Record<string, string>} */
const GAMES = { crash: 'Multiplier', race: 'Tapping race' };

/** @typedef {{id: string, game: string, name: string, state: string, players?: number}} Line */

/** The list of rooms. */
export class RoomPicker {
  /** @param {(id: string) => void} choose */
  constructor(choose) {
    this.choose = choose;
    button('rooms-button').addEventListener('click', () => void this.open());
  }

  /**
   * The room to start in.
   * @returns {Promise<string>}
   */
  async first() {
    /** @type {Line[]} */
    const rooms = (await get('/api/rooms')).rooms ?? [];
    const running = rooms.find((r) => r.state === 'running');
    return rooms.some((r) => r.id === LOBBY) ? LOBBY : (running ?? rooms[0])?.id ?? LOBBY;
  }

  async open() {
    if (!dialog('rooms-dialog').open) dialog('rooms-dialog').showModal();
    const answer = await get('/api/rooms');
    /** @type {Line[]} */
    const rooms = answer.rooms ?? [];
    const list = byId('room-list');
    if (answer.error) fill(list, h('li', { class: 'rows-more' }, words(answer.error)));
    else if (!rooms.length) fill(list, h('li', { class: 'rows-more' }, 'There is no room at the moment.'));
    else fill(list, rooms.filter((r) => r.state !== 'closed').map((r) => this.#row(r)));
  }

  /** @param {Line} r */
  #row(r) {
    const go = () => {
      dialog('rooms-dialog').close();
      this.choose(r.id);
    };
    return h(
      'li',
      null,
      h(
        'button',
        { class: 'room-row', onClick: go, 'aria-current': location.hash.slice(1) === r.id },
        h('span', { class: 'room-icon ' + r.game, 'aria-hidden': 'true' }),
        h('span', { class: 'room-words' }, h('strong', null, r.name || r.id), h('small', null, GAMES[r.game] ?? r.game)),
        h('span', { class: 'room-state', dataset: { state: r.state } }, r.state),
        h('span', { class: 'room-players' }, `${count(r.players ?? 0)} online`),
      ),
    );
  }
}

/** The dialog with the limits of a room of the game `crash`. */
export class RoomDetails {
  /** @param {() => import('../client/crash.js').CrashState | null} state */
  constructor(state) {
    button('limits-button').addEventListener('click', () => {
      const s = state();
      if (!s) return;
      const c = s.settings;
      /** @type {[string, string][]} */
      const rows = [
        ['Return to player', (c.rtp_bp / 100).toFixed(2) + ' %'],
        ['Stake', `${money(c.min_stake)} to ${money(c.max_stake)}`],
        ['Bets a round', 'two'],
        ['Highest win of a bet', money(c.max_win)],
        ['Highest win of a round', money(c.max_round_win)],
        ['Highest multiplier', times(c.cap)],
        ['Time to bet', (c.betting_ms / 1000).toFixed(1) + ' s'],
        ['After a crash', (c.crashed_ms / 1000).toFixed(1) + ' s'],
        ['Clock', (1000 / c.tick_ms).toFixed(0) + ' ticks a second'],
      ];
      fill(byId('limits-facts'), rows.map(([k, v]) => [h('dt', null, k), h('dd', null, v)]).flat());
      text(byId('limits-next'), s.nextSettings ? 'An operator has changed the settings: the new ones apply from the first round without bets on.' : '');
      dialog('limits-dialog').showModal();
    });
  }
}
