// @ts-check
// The game `crash` (docs/protocol.md section 7) as pure functions: a state is
// never changed, every function returns another. No clock, no DOM, no network.

export { crashPoint, crashPointOf, drawOf, walkChain } from './fairness.js';

/** Growth of the curve per second of game time. */
const GROWTH = 0.06;
/** Bets of the list (P7.4). */
const LISTED = 20;
const HISTORY = 50;

/**
 * @typedef {object} Settings
 * @property {number} version
 * @property {number} rtp_bp
 * @property {number} betting_ms
 * @property {number} lock_ms
 * @property {number} crashed_ms
 * @property {number} min_stake
 * @property {number} max_stake
 * @property {number} max_win
 * @property {number} max_round_win
 * @property {number} cap
 * @property {number} tick_ms
 *
 * @typedef {{chain: number, index: number, commitment: string, salt: string, salt_source: string, last_seed: string}} Fairness
 * @typedef {{player: string, name: string, slot: number, stake: number, auto?: number, centi?: number, payout?: number}} ListedBet
 * @typedef {{round: number, centi?: number, seed: string, chain: number, index: number, voided?: boolean}} PastRound
 * @typedef {'idle' | 'betting' | 'locked' | 'flying' | 'crashed'} Phase
 *
 * @typedef {object} OwnBet
 * @property {string} [bet]
 * @property {number} round
 * @property {number} slot
 * @property {number} stake
 * @property {number} [auto]
 * @property {'pending' | 'open' | 'won' | 'lost' | 'refunded'} state
 * @property {number} [centi]
 * @property {number} [payout]
 *
 * @typedef {object} CrashState
 * @property {string} uuid
 * @property {string} name
 * @property {string} state of the room: running, pausing, paused
 * @property {Phase} phase
 * @property {number} round
 * @property {number} start game time in microseconds
 * @property {number | null} end
 * @property {Settings} settings
 * @property {Settings | null} nextSettings
 * @property {Fairness} fairness of the round
 * @property {{chain: number, commitment?: string, salt?: string, salt_source?: string} | null} nextChain a chain that was
 *   committed to and not begun
 * @property {{count: number, stake: number, paid: number, top: ListedBet[]}} bets
 * @property {{count: number, stake: number}} nextBets
 * @property {PastRound[]} history newest first
 * @property {{player: string, name: string, slot: number, centi: number, payout: number, auto: boolean}[]} outs cash-outs
 *   of this flight that were seen, oldest first
 * @property {OwnBet[]} own the player's bets of this round and the next
 */

/**
 * The multiplier at a time of the flight, as a real number for drawing.
 * @param {number} us microseconds since the start
 */
export function multiplierAt(us) {
  return Math.exp((GROWTH * Math.max(0, us)) / 1e6);
}

/**
 * What the curve reads at a time of the flight: hundredths, rounded down.
 * @param {number} us microseconds since the start
 */
export function centiAt(us) {
  return Math.floor(100 * multiplierAt(us));
}

/**
 * When the curve first reads a multiplier.
 * @param {number} centi
 * @returns {number} microseconds since the start
 */
export function timeOf(centi) {
  return (Math.log(centi / 100) / GROWTH) * 1e6;
}

/**
 * The state that a snapshot and the player's own part describe.
 * @param {any} view
 * @param {any} you
 * @returns {CrashState}
 */
export function open(view, you) {
  const top = view.bets?.top ?? [];
  return {
    uuid: view.uuid,
    name: view.name,
    state: view.state,
    phase: view.phase,
    round: view.round,
    start: view.start ?? 0,
    end: view.end ?? null,
    settings: view.settings,
    nextSettings: view.next_settings ?? null,
    fairness: view.fairness,
    nextChain: view.fairness?.next ?? null,
    bets: { count: 0, stake: 0, paid: 0, ...view.bets, top },
    nextBets: { count: 0, stake: 0, ...view.next_bets },
    history: view.history ?? [],
    outs: top.filter((/** @type {ListedBet} */ b) => b.centi).map((/** @type {ListedBet} */ b) => ({ ...b, auto: false })),
    own: ownFrom(you),
  };
}

/**
 * The state with the player's own part replaced.
 * @param {CrashState} s
 * @param {any} you
 * @returns {CrashState}
 */
export function withYou(s, you) {
  return { ...s, own: ownFrom(you) };
}

/**
 * @param {any} you
 * @returns {OwnBet[]}
 */
function ownFrom(you) {
  return (you?.bets ?? []).map((/** @type {OwnBet} */ b) => ({ ...b }));
}

/**
 * The state after an event of an update. An event that is not known leaves it as
 * it was: a newer server may say more.
 * @param {CrashState} s
 * @param {import('./messages.js').GameEvent} ev
 * @param {string} [me] the player's ID
 * @returns {CrashState}
 */
export function reduce(s, ev, me) {
  switch (ev.e) {
    case 'phase':
      return phase(s, ev);
    case 'bet':
      return bet(s, ev, me);
    case 'unbet':
      return unbet(s, ev, me);
    case 'out':
      return out(s, ev, me);
    case 'totals':
      return totals(s, ev);
    case 'void':
      return voided(s, ev);
    case 'state':
      return { ...s, state: ev.state };
    case 'settings':
      return { ...s, nextSettings: ev.next_settings ?? null };
    case 'commit':
      return { ...s, nextChain: { chain: ev.chain, commitment: ev.commitment } };
    case 'salt':
      return { ...s, nextChain: { ...s.nextChain, chain: ev.chain, salt: ev.salt, salt_source: ev.salt_source } };
  }
  return s;
}

/**
 * @param {CrashState} s
 * @param {any} ev
 * @returns {CrashState}
 */
function phase(s, ev) {
  const at = { start: ev.start ?? s.start, end: ev.end ?? null, round: ev.round };
  switch (ev.phase) {
    case 'betting':
      return {
        ...s,
        ...at,
        phase: 'betting',
        settings: ev.settings ?? s.settings,
        nextSettings: ev.settings && ev.settings.version >= (s.nextSettings?.version ?? 0) ? null : s.nextSettings,
        fairness: ev.fairness ?? s.fairness,
        nextChain: s.nextChain && ev.fairness && ev.fairness.chain >= s.nextChain.chain ? null : s.nextChain,
        bets: { count: 0, stake: 0, paid: 0, top: [] },
        nextBets: { count: 0, stake: 0 },
        outs: [],
        own: s.own.filter((b) => b.round >= ev.round),
      };
    case 'locked':
      return { ...s, ...at, phase: 'locked' };
    case 'flying':
      return { ...s, ...at, phase: 'flying', outs: [] };
    case 'crashed':
      return crashed({ ...s, ...at, phase: 'crashed' }, ev);
    case 'idle':
      return { ...s, ...at, phase: 'idle' };
  }
  return s;
}

/**
 * Notices can be lost, so bets of one's own are settled here as the rules say:
 * a target that the curve reached has paid, everything else is lost.
 * @param {CrashState} s
 * @param {any} ev
 * @returns {CrashState}
 */
function crashed(s, ev) {
  const past = { round: ev.round, centi: ev.centi, seed: ev.seed, chain: ev.chain, index: ev.index, voided: false };
  const own = s.own.map((b) => {
    if (b.round !== ev.round || (b.state !== 'open' && b.state !== 'pending')) return b;
    if (b.state === 'pending') return { ...b, state: /** @type {const} */ ('refunded') };
    if (b.auto && b.auto <= ev.centi) return won(b, b.auto, (b.stake * b.auto) / 100);
    return { ...b, state: /** @type {const} */ ('lost') };
  });
  return { ...s, own, history: remembered(s.history, past), fairness: { ...s.fairness, last_seed: ev.seed } };
}

/**
 * @param {CrashState} s
 * @param {any} ev
 * @returns {CrashState}
 */
function voided(s, ev) {
  const past = { round: ev.round, centi: 0, seed: ev.seed, chain: ev.chain, index: ev.index, voided: true };
  const own = s.own.map((b) =>
    b.round === ev.round && (b.state === 'open' || b.state === 'pending') ? refunded(b) : b,
  );
  return {
    ...s,
    phase: 'crashed',
    round: ev.round,
    start: ev.start ?? s.start,
    end: ev.end ?? null,
    own,
    history: remembered(s.history, past),
    fairness: { ...s.fairness, last_seed: ev.seed ?? s.fairness?.last_seed },
  };
}

/**
 * @param {PastRound[]} history
 * @param {PastRound} past
 */
function remembered(history, past) {
  return [past, ...history.filter((h) => h.round !== past.round)].slice(0, HISTORY);
}

/**
 * A bet of the player's own may have been placed in another window, which had
 * the answer.
 * @param {CrashState} s
 * @param {any} ev
 * @param {string} [me]
 * @returns {CrashState}
 */
function bet(s, ev, me) {
  const { round, slot, stake, auto } = ev;
  const elsewhere = me !== undefined && ev.player === me && !ownBet(s, slot, round);
  const own = elsewhere ? [...s.own, { round, slot, stake, auto: auto || undefined, state: /** @type {const} */ ('open') }] : s.own;
  return round === s.round ? { ...s, own, bets: { ...s.bets, top: listed(s.bets.top, ev) } } : { ...s, own };
}

/**
 * @param {CrashState} s
 * @param {any} ev
 * @param {string} [me]
 * @returns {CrashState}
 */
function unbet(s, ev, me) {
  const after = me !== undefined && ev.player === me ? betReturned(s, ev) : s;
  if (ev.round !== s.round) return after;
  const top = s.bets.top.filter((b) => b.player !== ev.player || b.slot !== ev.slot);
  return { ...after, bets: { ...s.bets, top } };
}

/**
 * The list with another bet: by stake, then by arrival, the rest dropped.
 * @param {ListedBet[]} top
 * @param {any} ev
 */
function listed(top, ev) {
  const bet = { player: ev.player, name: ev.name, slot: ev.slot, stake: ev.stake, auto: ev.auto };
  const others = top.filter((b) => b.player !== bet.player || b.slot !== bet.slot);
  const at = others.findIndex((b) => b.stake < bet.stake);
  others.splice(at < 0 ? others.length : at, 0, bet);
  return others.slice(0, LISTED);
}

/**
 * @param {CrashState} s
 * @param {any} ev
 * @param {string} [me]
 * @returns {CrashState}
 */
function out(s, ev, me) {
  const top = s.bets.top.map((b) =>
    b.player === ev.player && b.slot === ev.slot ? { ...b, centi: ev.centi, payout: ev.payout } : b,
  );
  const cashed = { player: ev.player, name: ev.name, slot: ev.slot, centi: ev.centi, payout: ev.payout, auto: !!ev.auto };
  const after = { ...s, bets: { ...s.bets, top }, outs: [...s.outs, cashed] };
  return me !== undefined && ev.player === me ? cashedOut(after, { ...ev, round: s.round }) : after;
}

/**
 * @param {CrashState} s
 * @param {any} ev
 * @returns {CrashState}
 */
function totals(s, ev) {
  if (ev.round !== s.round) return s;
  return {
    ...s,
    bets: { ...s.bets, count: ev.count, stake: ev.stake, paid: ev.paid },
    nextBets: { count: ev.next_count ?? 0, stake: ev.next_stake ?? 0 },
  };
}

/**
 * @param {OwnBet} b
 * @param {number} centi
 * @param {number} payout
 * @returns {OwnBet}
 */
function won(b, centi, payout) {
  return { ...b, state: 'won', centi, payout };
}

/**
 * @param {OwnBet} b
 * @returns {OwnBet}
 */
function refunded(b) {
  return { ...b, state: 'refunded' };
}

/**
 * The bet of the player in a slot and round that has not been given back.
 * @param {CrashState} s
 * @param {number} slot
 * @param {number} round
 * @returns {OwnBet | undefined}
 */
export function ownBet(s, slot, round) {
  return s.own.find((b) => b.slot === slot && b.round === round && b.state !== 'refunded');
}

/**
 * The state after a bet of the player was confirmed (answer to `bet`).
 * @param {CrashState} s
 * @param {any} result
 * @returns {CrashState}
 */
export function betPlaced(s, result) {
  const here = s.own.filter((b) => b.slot === result.slot && b.round === result.round);
  const others = s.own.filter((b) => !here.includes(b));
  // Of a bet that the room's list told of first, the ID is not known.
  const known = here.find((b) => b.bet === result.bet || (b.bet === undefined && b.state !== 'refunded'));
  if (known && known.state !== 'pending') return s;
  const { bet, round, slot, stake, auto } = result;
  return { ...s, own: [...others, { bet, round, slot, stake, auto: auto || undefined, state: 'open' }] };
}

/**
 * The state after a bet of the player was cancelled (answer to `cancel`) or
 * refunded (notice).
 * @param {CrashState} s
 * @param {{slot: number, round: number}} ev
 * @returns {CrashState}
 */
export function betReturned(s, ev) {
  return { ...s, own: s.own.map((b) => (b.slot === ev.slot && b.round === ev.round ? refunded(b) : b)) };
}

/**
 * The state after a bet of the player was cashed out (answer to `cashout`, notice or event).
 * @param {CrashState} s
 * @param {{slot: number, round: number, centi: number, payout: number}} ev
 * @returns {CrashState}
 */
export function cashedOut(s, ev) {
  const own = s.own.map((b) => (b.slot === ev.slot && b.round === ev.round ? won(b, ev.centi, ev.payout) : b));
  return { ...s, own };
}

/**
 * The state after a notice to the player (P7.15).
 * @param {CrashState} s
 * @param {any} ev
 * @returns {CrashState}
 */
export function notice(s, ev) {
  switch (ev.e) {
    case 'out':
      return cashedOut(s, ev);
    case 'refund':
      return betReturned(s, ev);
    case 'lost':
      return {
        ...s,
        own: s.own.map((b) =>
          b.slot === ev.slot && b.round === ev.round && b.state === 'open' ? { ...b, state: 'lost' } : b,
        ),
      };
  }
  return s;
}
