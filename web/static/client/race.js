// @ts-check
// The game `race` (docs/protocol.md section 8) as pure functions: a state is
// never changed, every function returns another. No clock, no DOM, no network.

const HISTORY = 50;

/**
 * @typedef {{player: string, name: string, points: number}} Score
 * @typedef {{round: number, players: number, winner: Score | null}} PastRace voided races are not remembered
 * @typedef {'idle' | 'gathering' | 'running' | 'finished'} Phase
 *
 * @typedef {object} RaceState
 * @property {string} uuid
 * @property {string} name
 * @property {string} state of the room: running, pausing, paused
 * @property {Phase} phase
 * @property {number} round
 * @property {number} start game time in microseconds
 * @property {number | null} end
 * @property {any} settings
 * @property {any} nextSettings
 * @property {number} players
 * @property {Score[]} top
 * @property {PastRace[]} history newest first
 * @property {number} points the player's own, in this round
 */

/**
 * The state that a snapshot and the player's own part describe.
 * @param {any} view
 * @param {any} you
 * @returns {RaceState}
 */
export function open(view, you) {
  const s = {
    uuid: view.uuid,
    name: view.name,
    state: view.state,
    phase: view.phase,
    round: view.round,
    start: view.start ?? 0,
    end: view.end ?? null,
    settings: view.settings,
    nextSettings: view.next_settings ?? null,
    players: view.players ?? 0,
    top: view.top ?? [],
    history: view.history ?? [],
    points: 0,
  };
  return withYou(s, you);
}

/**
 * The state with what the server says of the player. Taps of this round that are
 * on their way still count.
 * @param {RaceState} s
 * @param {any} you
 * @returns {RaceState}
 */
export function withYou(s, you) {
  return you ? tapped(s, you.round, you.points) : s;
}

/**
 * The state after an event of an update. An event that is not known leaves it as it was.
 * @param {RaceState} s
 * @param {import('./messages.js').GameEvent} ev
 * @returns {RaceState}
 */
export function reduce(s, ev) {
  switch (ev.e) {
    case 'phase':
      return phase(s, ev);
    case 'scores':
      return { ...s, players: ev.players, top: ev.top ?? [] };
    case 'void':
      return {
        ...s,
        phase: 'finished',
        round: ev.round,
        start: ev.start ?? s.start,
        end: ev.end ?? null,
        top: [],
        players: 0,
      };
    case 'state':
      return { ...s, state: ev.state };
    case 'settings':
      return { ...s, nextSettings: ev.next_settings ?? null };
  }
  return s;
}

/**
 * @param {RaceState} s
 * @param {any} ev
 * @returns {RaceState}
 */
function phase(s, ev) {
  const after = { ...s, phase: ev.phase, round: ev.round, start: ev.start ?? s.start, end: ev.end ?? null };
  if (ev.phase === 'gathering') {
    const settings = ev.settings ?? s.settings;
    const nextSettings = ev.settings && ev.settings.version >= (s.nextSettings?.version ?? 0) ? null : s.nextSettings;
    return { ...after, settings, nextSettings, players: 0, top: [], points: s.round === ev.round ? s.points : 0 };
  }
  if (ev.phase === 'finished') {
    const top = ev.top ?? s.top;
    const players = ev.players ?? s.players;
    return { ...after, top, players, history: remembered(s.history, { round: ev.round, players, winner: top[0] ?? null }) };
  }
  return after;
}

/**
 * @param {PastRace[]} history
 * @param {PastRace} past
 */
function remembered(history, past) {
  return [past, ...history.filter((h) => h.round !== past.round)].slice(0, HISTORY);
}

/**
 * The state after a tap of the player: answered, or made just now.
 * @param {RaceState} s
 * @param {number} round
 * @param {number} points
 * @returns {RaceState}
 */
export function tapped(s, round, points) {
  return round === s.round ? { ...s, points: Math.max(s.points, points) } : s;
}
