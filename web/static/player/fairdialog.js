// @ts-check
// The fairness dialog: takes a past round apart and computes it again in this
// browser, from the seed that was revealed to the commitment that was known before.

import { crashPoint, walkChain } from '../client/crash.js';
import { byId, closeOnBackdrop, dialog, fill, h, text } from '../ui/dom.js';
import { count, height, moment, times } from '../ui/format.js';
import { get } from './lists.js';

/**
 * @typedef {import('../client/crash.js').CrashState} CrashState
 * @typedef {import('../client/crash.js').PastRound} PastRound
 * @typedef {{seed: string, salt: string, commitment: string, rtpBp: number, cap: number, archived: boolean}} Facts
 */

export class FairDialog {
  /**
   * @param {() => CrashState | null} state
   * @param {() => string} room
   */
  constructor(state, room) {
    this.state = state;
    this.room = room;
    this.dialog = dialog('fair-dialog');
    /** raised whenever another round is shown */
    this.shown = 0;
    closeOnBackdrop(this.dialog);
  }

  /**
   * Shows a round; without one the newest.
   * @param {number} [round]
   */
  async open(round) {
    const s = this.state();
    if (!s) return;
    const shown = ++this.shown;
    const past = round === undefined ? s.history[0] : s.history.find((p) => p.round === round);
    if (!this.dialog.open) this.dialog.showModal();
    const body = byId('fair-body');
    if (!past) {
      fill(body, this.#explain(s), h('p', { class: 'hint' }, 'No round has ended in this room yet.'));
      return;
    }
    const steps = h('ol', { class: 'proof' });
    fill(body, this.#picker(s, past), steps, this.#explain(s));
    fill(steps, h('li', { class: 'step-wait' }, 'Reading the round…'));
    const facts = await this.#facts(s, past);
    if (shown === this.shown) await this.#prove(steps, past, facts, () => shown === this.shown);
  }

  /**
   * @param {CrashState} s
   * @param {PastRound} past
   */
  #picker(s, past) {
    const at = s.history.findIndex((p) => p.round === past.round);
    const go = (/** @type {number} */ i) => () => void this.open(s.history[i].round);
    return h(
      'div',
      { class: 'fair-head' },
      h('button', { class: 'button small', disabled: at + 1 >= s.history.length, onClick: go(at + 1), 'aria-label': 'Round before' }, '‹'),
      h(
        'div',
        { class: 'fair-round' },
        h('span', null, `Round ${count(past.round)}`),
        past.voided || past.centi === undefined
          ? h('strong', { class: 'h-void' }, 'voided')
          : h('strong', { class: 'h-' + height(past.centi) }, times(past.centi)),
      ),
      h('button', { class: 'button small', disabled: at <= 0, onClick: go(at - 1), 'aria-label': 'Round behind' }, '›'),
    );
  }

  /**
   * What the round was drawn from. The archive knows the rules of that very
   * round; until it has the round, those of the room have to do.
   * @param {CrashState} s
   * @param {PastRound} past
   * @returns {Promise<Facts>}
   */
  async #facts(s, past) {
    const answer = await get(`/api/rooms/${encodeURIComponent(this.room())}/rounds?limit=100`);
    const row = (answer.rounds ?? []).find((/** @type {any} */ r) => r.round === past.round)?.outcome;
    return {
      seed: past.seed,
      salt: row?.salt ?? s.fairness.salt,
      commitment: row?.commitment ?? s.fairness.commitment,
      rtpBp: row?.rtp_bp ?? s.settings.rtp_bp,
      cap: row?.cap ?? s.settings.cap,
      archived: !!row,
    };
  }

  /**
   * @param {HTMLElement} steps
   * @param {PastRound} past
   * @param {Facts} f
   * @param {() => boolean} current
   */
  async #prove(steps, past, f, current) {
    const { r, centi } = await crashPoint(f);
    if (!current()) return;
    const walk = h('li', { class: 'step-wait' }, `Hashing the seed ${count(past.index)} times…`);
    fill(steps, revealed(past, f), recomputed(past, f, r, centi), walk);
    const end = await walkChain(past.seed, past.index, (done) => {
      if (current()) text(walk, `Hashing the seed: ${count(done)} of ${count(past.index)}…`);
    });
    if (current()) walk.replaceWith(committed(past, f, end, this.#firstSeen(past.chain, f)));
  }

  /**
   * When this browser first saw the commitment of a chain, and whether it was
   * the same: a commitment proves something only to those who knew it before.
   * @param {number} chain
   * @param {Facts} f
   */
  #firstSeen(chain, f) {
    const uuid = this.state()?.uuid ?? '';
    const known = remembered(uuid, chain);
    return known ? { at: known.at, same: known.commitment === f.commitment && known.salt === f.salt } : null;
  }

  /** @param {CrashState} s */
  #explain(s) {
    const server = s.fairness.salt_source === 'server';
    return h(
      'section',
      { class: 'fair-words' },
      h('h3', null, 'What this shows'),
      h(
        'p',
        null,
        'All crash points of a series are fixed before its first round. The server starts from a secret, hashes it tens of thousands of times, ' +
          'and uses the results backwards: each round reveals one, and the hash of it is the one before. So no round can be exchanged afterwards, ' +
          'and nobody can compute a coming one from those revealed.',
      ),
      h(
        'p',
        null,
        'The last hash, the commitment, is published first, then the salt is added. Seed and salt together give the crash point by a fixed rule ' +
          `that returns ${(s.settings.rtp_bp / 100).toFixed(2)} % of all stakes in the long run, whatever target you choose.`,
      ),
      server
        ? h(
            'p',
            { class: 'caveat' },
            h('strong', null, 'What it does not show: '),
            'the salt of this series was drawn by the server itself. An operator who wanted to cheat could have tried many secrets and salts and kept ' +
              'a series that he liked. Only a salt that nobody could know in advance, such as the hash of a later block of a public chain, rules that out.',
          )
        : h(
            'p',
            { class: 'caveat' },
            h('strong', null, 'The salt of this series: '),
            `“${s.fairness.salt_source}”. Check there that it became known only after the commitment.`,
          ),
    );
  }
}

/**
 * @param {PastRound} past
 * @param {Facts} f
 */
function revealed(past, f) {
  return step(
    'info',
    'The seed was revealed',
    past.voided ? 'An operator voided the round. Its seed is spent and shown all the same.' : 'After the crash the server showed what the round was drawn from.',
    values([
      ['Seed', f.seed],
      ['Salt', f.salt],
      ['Place', `round ${count(past.index)} of series ${count(past.chain + 1)}`],
    ]),
  );
}

/**
 * @param {PastRound} past
 * @param {Facts} f
 * @param {bigint} r
 * @param {number} centi
 */
function recomputed(past, f, r, centi) {
  const rule = values([
    ['Draw', `r = ${r}, the first 52 bits of HMAC-SHA256`],
    ['Rule', `${f.rtpBp} · 2⁵² ÷ (100 · (2⁵² − r)), rounded down, from 1.00× to ${times(f.cap)}`],
    ['Result', times(centi)],
  ]);
  if (past.voided || past.centi === undefined) {
    return step('info', `It would have crashed at ${times(centi)}`, 'A voided round pays nothing and costs nothing.', rule);
  }
  if (centi === past.centi) return step('ok', `Your browser computes ${times(centi)}: the same`, '', rule);
  const why = f.archived
    ? 'The server showed something else. Keep these numbers and ask the operator.'
    : 'The round is not in the archive yet, so today’s rules of the room were used. They may have changed since; look again in a moment.';
  return step(f.archived ? 'bad' : 'info', `Your browser computes ${times(centi)}, the server said ${times(past.centi)}`, why, rule);
}

/**
 * @param {PastRound} past
 * @param {Facts} f
 * @param {string} end
 * @param {{at: number, same: boolean} | null} seen
 */
function committed(past, f, end, seen) {
  const list = values([
    ['Computed', end],
    ['Commitment', f.commitment],
  ]);
  if (end !== f.commitment) {
    return step('bad', 'The chain does not lead to the commitment', 'Keep these numbers and ask the operator.', list);
  }
  let since = '';
  if (seen && !seen.same) since = 'But this browser once knew another commitment or salt for this series. Ask the operator why.';
  else if (seen) since = `This browser has known the commitment since ${moment(seen.at)}.`;
  const kind = seen && !seen.same ? 'bad' : 'ok';
  return step(kind, `${count(past.index)} ${past.index === 1 ? 'hash leads' : 'hashes lead'} to the commitment`, since, list);
}

/**
 * @param {'ok' | 'bad' | 'info'} kind
 * @param {string} title
 * @param {string} words
 * @param {HTMLElement} more
 */
function step(kind, title, words, more) {
  return h('li', { class: 'step-' + kind }, h('strong', null, title), words && h('p', null, words), more);
}

/** @param {[string, string][]} rows */
function values(rows) {
  return h('dl', { class: 'values' }, rows.map(([k, v]) => h('div', null, h('dt', null, k), h('dd', null, v))));
}

/**
 * Notes the commitments of this series and of the next the first time this
 * browser sees them.
 * @param {CrashState} s
 */
export function rememberCommitments(s) {
  for (const c of [s.fairness, s.nextChain]) {
    if (!c?.commitment || !c.salt || remembered(s.uuid, c.chain)) continue;
    try {
      const known = { commitment: c.commitment, salt: c.salt, at: Date.now() };
      localStorage.setItem(`tickcast.commitment.${s.uuid}.${c.chain}`, JSON.stringify(known));
    } catch {
      // A full or forbidden storage costs this one line of the dialog.
    }
  }
}

/**
 * @param {string} uuid
 * @param {number} chain
 * @returns {{commitment: string, salt: string, at: number} | null}
 */
function remembered(uuid, chain) {
  try {
    return JSON.parse(localStorage.getItem(`tickcast.commitment.${uuid}.${chain}`) ?? 'null');
  } catch {
    return null;
  }
}
