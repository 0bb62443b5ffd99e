// @ts-check
import { betPlaced, betReturned, cashedOut, ownBet } from '../client/crash.js';
import { h, text } from '../ui/dom.js';
import { money, parseCredits, parseTimes, times } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { panelMode } from './panelmode.js';

/**
 * @typedef {(s: import('../client/crash.js').CrashState) => import('../client/crash.js').CrashState} Change
 *
 * @typedef {object} PanelHost what a panel needs of the game's view
 * @property {() => import('../client/crash.js').CrashState | null} state
 * @property {(change: Change) => void} answered applies what an answer changes
 * @property {(op: string, round: number, args: object) => Promise<any>} command
 * @property {() => boolean} live
 */

/** One of the two bets: stake, target, auto bet and the big button. */
export class BetPanel {
  /**
   * @param {number} slot 0 or 1
   * @param {PanelHost} host
   */
  constructor(slot, host) {
    this.slot = slot;
    this.host = host;
    /** @type {'bet' | 'cancel' | 'cashout' | null} */
    this.waiting = null;
    this.queued = false;
    /** the last round for which auto bet has acted */
    this.autoRound = 0;
    /** @type {import('./panelmode.js').Mode | null} */
    this.mode = null;
    const id = (/** @type {string} */ name) => `${name}-${slot}`;
    this.stake = h('input', { id: id('stake'), inputMode: 'numeric', autocomplete: 'off', value: '10' });
    this.target = h('input', { id: id('target'), inputMode: 'decimal', autocomplete: 'off', value: '2.00', disabled: true });
    this.targetOn = h('input', { type: 'checkbox', id: id('target-on'), onChange: () => this.#targetSwitched() });
    this.auto = h('input', { type: 'checkbox', id: id('auto') });
    this.label = h('span', { class: 'big-label' }, 'Bet');
    this.note = h('span', { class: 'big-note' });
    this.big = h('button', { class: 'big', id: id('big'), type: 'button', onClick: () => this.act() }, this.label, this.note);
    this.result = h('p', { class: 'panel-result', role: 'status' });
    const step = (/** @type {string} */ label, /** @type {string} */ title, /** @type {(n: number) => number} */ f) =>
      h('button', { type: 'button', class: 'step', 'aria-label': title, onClick: () => this.#setStake(f) }, label);
    this.steps = [
      step('½', '½ the stake', (n) => Math.floor(n / 200) * 100),
      step('2×', '2× the stake', (n) => n * 2),
    ];
    this.stake.addEventListener('change', () => this.#setStake((n) => n));
    this.target.addEventListener('change', () => this.#tidyTarget());
    this.stake.addEventListener('input', () => invalid(this.stake, parseCredits(this.stake.value)));
    this.target.addEventListener('input', () => invalid(this.target, parseTimes(this.target.value)));
    this.element = this.#assemble(id);
  }

  /** @param {(name: string) => string} id */
  #assemble(id) {
    return h(
      'section',
      { class: 'panel card', 'aria-label': `Bet ${this.slot + 1}` },
      h(
        'div',
        { class: 'panel-head' },
        h('h2', null, `Bet ${this.slot + 1}`),
        this.result,
        h('label', { class: 'auto-bet', htmlFor: id('auto') }, 'Auto bet', toggle(this.auto)),
      ),
      h(
        'div',
        { class: 'panel-fields' },
        h(
          'div',
          { class: 'field' },
          h('label', { htmlFor: id('stake') }, 'Stake'),
          h('div', { class: 'with-steps' }, this.stake, this.steps),
        ),
        h(
          'div',
          { class: 'field' },
          h('label', { htmlFor: id('target') }, 'Cash out at'),
          h('div', { class: 'with-switch' }, this.target, toggle(this.targetOn, 'Cash out automatically')),
        ),
      ),
      this.big,
    );
  }

  #targetSwitched() {
    this.target.disabled = !this.targetOn.checked;
    if (this.targetOn.checked) this.target.focus();
  }

  /** @param {(n: number) => number} f */
  #setStake(f) {
    const settings = this.host.state()?.settings;
    const now = parseCredits(this.stake.value);
    if (Number.isNaN(now)) return;
    const to = Math.min(settings?.max_stake ?? Infinity, Math.max(settings?.min_stake ?? 100, f(now)));
    this.stake.value = String(to / 100);
  }

  #tidyTarget() {
    const centi = parseTimes(this.target.value);
    if (Number.isNaN(centi)) return;
    const cap = this.host.state()?.settings.cap ?? 1_000_000;
    this.target.value = (Math.min(cap, Math.max(101, centi)) / 100).toFixed(2);
  }

  /** What the player typed as a target, in hundredths; 0 for none, NaN if it is none. */
  #targetCenti() {
    return this.targetOn.checked ? parseTimes(this.target.value) : 0;
  }

  /**
   * Shows the state; called on each frame.
   * @param {import('../client/crash.js').CrashState} s
   * @param {number} centi what the curve reads
   */
  render(s, centi) {
    const typed = { stake: parseCredits(this.stake.value), target: this.#targetCenti() };
    const local = { waiting: this.waiting, queued: this.queued, live: this.host.live(), ...typed };
    const m = panelMode(s, this.slot, local, centi);
    const before = this.mode;
    this.mode = m;
    text(this.label, m.label);
    text(this.note, m.note);
    if (before && before.look === m.look && before.locked === m.locked) return;
    this.big.dataset.look = m.look;
    this.big.disabled = m.look === 'off' || m.look === 'wait';
    this.stake.disabled = m.locked;
    this.targetOn.disabled = m.locked;
    this.target.disabled = m.locked || !this.targetOn.checked;
    for (const b of this.steps) b.disabled = m.locked;
  }

  /** Says how the bet of the round went; called when the state changed. */
  showResult() {
    const s = this.host.state();
    const b = s?.own.find((x) => x.slot === this.slot && x.round === s.round);
    let line = '';
    let kind = '';
    if (b?.state === 'won') [line, kind] = [`Won ${money(b.payout ?? 0)} at ${times(b.centi ?? 0)}`, 'won'];
    else if (b?.state === 'lost') [line, kind] = [`Lost ${money(b.stake)}`, 'lost'];
    else if (b?.state === 'refunded' && s?.phase === 'crashed') [line, kind] = [`${money(b.stake)} came back`, 'back'];
    text(this.result, line);
    this.result.dataset.kind = kind;
  }

  /** Does what the big button says. */
  act() {
    const m = this.mode;
    if (!m || this.big.disabled) return;
    switch (m.does) {
      case 'bet':
        return void this.#bet(m.round);
      case 'cancel':
        return void this.#cancel(m.round);
      case 'cashout':
        return void this.#cashOut(m.round);
      case 'queue':
        this.queued = true;
        return;
      case 'unqueue':
        this.queued = false;
    }
  }

  /**
   * Bets what was queued, or what auto bet wants; called when a round opens.
   * @param {import('../client/crash.js').CrashState} s
   */
  opened(s) {
    const wanted = this.queued || (this.auto.checked && this.autoRound < s.round);
    this.queued = false;
    this.autoRound = Math.max(this.autoRound, s.round);
    if (wanted && !this.waiting && !ownBet(s, this.slot, s.round)) void this.#bet(s.round);
  }

  /** Forgets what belongs to a room that was left. */
  reset() {
    this.waiting = null;
    this.queued = false;
    this.autoRound = 0;
    this.mode = null;
    this.auto.checked = false;
    text(this.result, '');
  }

  /** @param {number} round */
  async #bet(round) {
    const amount = parseCredits(this.stake.value);
    const auto = this.#targetCenti();
    const wrong = this.#wrong(amount, auto);
    if (wrong) {
      this.auto.checked = false;
      return toast(words({ code: wrong }), 'bad');
    }
    const args = auto ? { slot: this.slot, amount, auto } : { slot: this.slot, amount };
    const r = await this.#command('bet', round, args);
    if (r) this.host.answered((s) => betPlaced(s, { auto, ...r }));
    else this.auto.checked = false;
  }

  /**
   * The code of what is wrong with a bet, as the server would say it.
   * @param {number} amount
   * @param {number} auto
   */
  #wrong(amount, auto) {
    const cap = this.host.state()?.settings.cap ?? 0;
    if (Number.isNaN(amount)) return 'bad_amount';
    return Number.isNaN(auto) || (auto !== 0 && (auto < 101 || auto > cap)) ? 'bad_target' : '';
  }

  /** @param {number} round */
  async #cancel(round) {
    this.auto.checked = false;
    const r = await this.#command('cancel', round, { slot: this.slot });
    if (r) this.host.answered((s) => betReturned(s, { slot: this.slot, round }));
  }

  /** @param {number} round */
  async #cashOut(round) {
    const r = await this.#command('cashout', round, { slot: this.slot });
    if (r) this.host.answered((s) => cashedOut(s, { slot: this.slot, round, centi: r.centi, payout: r.payout }));
  }

  /**
   * @param {'bet' | 'cancel' | 'cashout'} op
   * @param {number} round
   * @param {object} args
   * @returns {Promise<any>} the result, or null if it was refused and the player was told
   */
  async #command(op, round, args) {
    this.waiting = op;
    try {
      return await this.host.command(op, round, args);
    } catch (err) {
      // A cash-out that the player's own target overtook is no bad news.
      const code = /** @type {any} */ (err).code;
      if (!(op === 'cashout' && code === 'no_bet')) toast(words(/** @type {any} */ (err)), 'bad');
      return null;
    } finally {
      this.waiting = null;
      this.mode = null;
    }
  }
}

/**
 * Marks a field in which no number was typed.
 * @param {HTMLInputElement} field
 * @param {number} n
 */
function invalid(field, n) {
  field.setAttribute('aria-invalid', String(Number.isNaN(n)));
}

/**
 * A check box that looks like a switch.
 * @param {HTMLInputElement} box
 * @param {string} [label] where no label element names it
 */
function toggle(box, label) {
  box.setAttribute('role', 'switch');
  if (label) box.setAttribute('aria-label', label);
  return h('span', { class: 'switch' }, box, h('span', { class: 'switch-track', 'aria-hidden': 'true' }));
}
