// @ts-check
// The lists beside the game: live bets, the player's own past bets, leaders.

import { button, byId, fill, h, text } from '../ui/dom.js';
import { clock, count, shortMoney, times } from '../ui/format.js';
import { words } from '../ui/words.js';

/**
 * Shows the bets of the round.
 * @param {import('../client/crash.js').CrashState} s
 * @param {string | undefined} me
 */
export function showLiveBets(s, me) {
  text(byId('total-count'), count(s.bets.count));
  text(byId('total-stake'), shortMoney(s.bets.stake));
  text(byId('total-paid'), shortMoney(s.bets.paid));
  const over = s.phase === 'crashed';
  fill(
    byId('live-rows'),
    s.bets.top.map((b) =>
      h(
        'li',
        { class: 'row', dataset: { out: b.centi ? 'won' : over ? 'lost' : 'open', me: b.player === me ? 'yes' : 'no' } },
        h('span', { class: 'who', title: b.name }, b.player === me ? 'You' : b.name),
        h('span', null, shortMoney(b.stake)),
        h('span', { class: 'at' }, b.centi ? times(b.centi) : over ? '–' : b.auto ? h('em', { title: 'Target' }, times(b.auto)) : ''),
        h('span', { class: 'pay' }, b.payout ? shortMoney(b.payout) : ''),
      ),
    ),
  );
  const more = s.bets.count - s.bets.top.length;
  const next = s.nextBets.count;
  const parts = [];
  if (s.bets.top.length === 0) parts.push('No bets in this round yet.');
  if (more > 0) parts.push(`and ${count(more)} more`);
  if (next > 0) parts.push(`${count(next)} on the next round`);
  text(byId('live-more'), parts.join(' · '));
}

/** The player's past bets, read page by page. */
export class PastBets {
  /** @param {() => string} token */
  constructor(token) {
    this.token = token;
    this.next = '';
    this.stale = true;
    button('mine-more').addEventListener('click', () => void this.#load(this.next));
  }

  /** Loads the newest page again if something happened since the last time. */
  refresh() {
    if (this.stale) void this.#load('');
  }

  /** @param {string} before */
  async #load(before) {
    this.stale = false;
    const note = byId('mine-note');
    const path = '/api/me/bets?limit=25' + (before ? '&before=' + encodeURIComponent(before) : '');
    const answer = await get(path, { Authorization: 'Bearer ' + this.token() });
    if (answer.error) {
      this.stale = true;
      text(note, words(answer.error));
      return;
    }
    /** @type {any[]} */
    const bets = answer.bets ?? [];
    const rows = bets.map(pastBet);
    if (before) byId('mine-rows').append(...rows);
    else fill(byId('mine-rows'), rows);
    this.next = answer.next ?? '';
    button('mine-more').hidden = !this.next;
    text(note, byId('mine-rows').childElementCount ? '' : 'Your bets will stand here.');
  }
}

/** @param {any} b */
function pastBet(b) {
  const gain = b.state === 'won' ? b.payout - b.stake : b.state === 'lost' ? -b.stake : 0;
  const end = { won: times(b.centi ?? 0), lost: 'lost', refunded: 'refunded', open: 'open' }[/** @type {string} */ (b.state)] ?? b.state;
  return h(
    'li',
    { class: 'row', dataset: { out: b.state } },
    h('span', { class: 'who' }, `${b.room} #${b.round}`, h('small', null, clock(b.at))),
    h('span', null, shortMoney(b.stake)),
    h('span', { class: 'at' }, end),
    h('span', { class: 'pay' }, gain > 0 ? '+' + shortMoney(gain) : gain < 0 ? '−' + shortMoney(-gain) : '0.00'),
  );
}

/** The leaders of a game, of today or of all time. */
export class Leaders {
  constructor() {
    this.game = 'crash';
    this.day = true;
    this.me = '';
    /** raised at each request: only the last one is shown */
    this.asked = 0;
    const day = button('board-day');
    const all = button('board-all');
    const choose = (/** @type {boolean} */ today) => {
      this.day = today;
      day.setAttribute('aria-pressed', String(today));
      all.setAttribute('aria-pressed', String(!today));
      void this.refresh();
    };
    day.addEventListener('click', () => choose(true));
    all.addEventListener('click', () => choose(false));
  }

  async refresh() {
    const asked = ++this.asked;
    const day = this.day ? '?day=' + new Date().toISOString().slice(0, 10) : '';
    const answer = await get(`/api/leaderboards/${this.game}${day}`);
    if (asked !== this.asked) return;
    /** @type {any[]} */
    const scores = answer.scores ?? [];
    fill(
      byId('board-rows'),
      scores.map((s, i) =>
        h(
          'li',
          { class: 'row', dataset: { me: s.player === this.me ? 'yes' : 'no' } },
          h('span', { class: 'place' }, String(i + 1)),
          h('span', { class: 'who' }, s.player === this.me ? 'You' : s.name || s.player),
          h('span', { class: 'pay' }, this.game === 'crash' ? shortMoney(s.points) : count(s.points)),
        ),
      ),
    );
    const nobody = this.day ? 'Nobody has played today.' : 'Nobody has played yet.';
    const what = this.game === 'crash' ? 'Net win in credits. Days begin at 00:00 UTC.' : 'Sum of taps. Days begin at 00:00 UTC.';
    text(byId('board-note'), answer.error ? words(answer.error) : scores.length ? what : nobody);
  }
}

/**
 * Reads from the public API. An answer that did not come is an error like any other.
 * @param {string} path
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function get(path, headers) {
  try {
    const r = await fetch(path, { headers, cache: 'no-store' });
    return await r.json();
  } catch {
    return { error: { message: 'The server cannot be reached.' } };
  }
}

