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
        h('span', { class: 'room-words' }, h('strong', null, r.name || r.id), h('small', null, `${GAMES[r.game] ?? r.game} · ${count(r.players ?? 0)} online`)),
        h('span', { class: 'room-state', dataset: { state: r.state } }, r.state),
      ),
    );
  }
}

/** The dialog with the limits of the room. */
export class RoomDetails {
  /** @param {() => import('../client/crash.js').CrashState | import('../client/race.js').RaceState | null} state */
  constructor(state) {
    const open = () => {
      const s = state();
      if (!s) return;
      const rows = 'running_ms' in s.settings ? raceLimits(s.settings) : crashLimits(s.settings);
      fill(byId('limits-facts'), rows.map(([k, v]) => [h('dt', null, k), h('dd', null, v)]).flat());
      const from = 'bets' in s ? 'the first round without bets' : 'the next race';
      text(byId('limits-next'), s.nextSettings ? `An operator has changed the settings: the new ones apply from ${from} on.` : '');
      dialog('limits-dialog').showModal();
    };
    for (const id of ['limits-button', 'race-limits-button']) button(id).addEventListener('click', open);
  }
}

/**
 * @param {import('../client/crash.js').Settings} c
 * @returns {[string, string][]}
 */
function crashLimits(c) {
  return [
    ['Return to player', (c.rtp_bp / 100).toFixed(2) + ' %'],
    ['Stake', `${money(c.min_stake)} to ${money(c.max_stake)}`],
    ['Bets a round', 'two'],
    ['Highest win of a player, a round', money(c.max_win)],
    ['Highest win of all, a round', money(c.max_round_win)],
    ['Highest multiplier', times(c.cap)],
    ['Time to bet', seconds(c.betting_ms)],
    ['After a crash', seconds(c.crashed_ms)],
    ['Clock', ticks(c.tick_ms)],
  ];
}

/**
 * @param {any} c
 * @returns {[string, string][]}
 */
function raceLimits(c) {
  return [
    ['Time to gather', seconds(c.gathering_ms)],
    ['Time to tap', seconds(c.running_ms)],
    ['Taps a second, at most', count(c.max_taps_per_s)],
    ['After a race', seconds(c.finished_ms)],
    ['Clock', ticks(c.tick_ms)],
  ];
}

/** @param {number} ms */
function seconds(ms) {
  return (ms / 1000).toFixed(1) + ' s';
}

/** @param {number} ms */
function ticks(ms) {
  return (1000 / ms).toFixed(0) + ' ticks a second';
}
