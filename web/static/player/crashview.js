// @ts-check
import { centiAt, notice, open, reduce, timeOf, withYou } from '../client/crash.js';
import { button, byId, fill, h, text } from '../ui/dom.js';
import { count, height, money, times } from '../ui/format.js';
import { BetPanel } from './betpanel.js';
import { FairDialog, rememberCommitments } from './fairdialog.js';
import { FrozenNote } from './frozen.js';
import { showLiveBets } from './lists.js';
import { Stage } from './stage.js';

/**
 * @typedef {object} App what a view needs of the page
 * @property {import('../client/tickcast.js').Client} client
 * @property {() => string | undefined} me the player's ID
 * @property {() => void} roundEnded lists of what has ended are out of date
 * @property {() => boolean} calm less motion, please
 */

/** Answers that are kept, for a join that is older than they are: more than the two bets can get meanwhile. */
const ANSWERS = 16;

/** The game `crash` on the page. */
export class CrashView {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {import('../client/tickcast.js').Room | null} */
    this.room = null;
    /** @type {import('../client/crash.js').CrashState | null} */
    this.state = null;
    this.stage = new Stage(/** @type {HTMLCanvasElement} */ (byId('curve')), app.calm);
    this.frozen = new FrozenNote('frozen', app.client);
    this.fair = new FairDialog(() => this.state, () => this.room?.id ?? '');
    this.panels = [0, 1].map((slot) => new BetPanel(slot, this.#host()));
    fill(byId('panels'), this.panels.map((p) => p.element));
    button('fair-button').addEventListener('click', () => void this.fair.open());
    /** what the answers to the player's commands have changed, oldest first */
    /** @type {{at: number, change: import('./betpanel.js').Change}[]} */
    this.answers = [];
    /** lists are drawn at most once a frame */
    this.dirty = true;
    /** round for which the panels were told that it takes bets */
    this.opened = 0;
    /** newest round of the history strip */
    this.strip = -1;
    this.lastActive = 0;
    byId('panels').addEventListener('focusin', (ev) => {
      const at = this.panels.findIndex((p) => p.element.contains(/** @type {Node} */ (ev.target)));
      if (at >= 0) this.lastActive = at;
    });
  }

  /** @returns {import('./betpanel.js').PanelHost} */
  #host() {
    return {
      state: () => this.state,
      answered: (change) => this.#answered(change),
      command: (op, round, args) => this.app.client.command(this.room?.id ?? '', op, { round, args }),
      live: () => this.room !== null && this.app.client.live(this.room.id),
    };
  }

  /**
   * Shows a room from now on.
   * @param {import('../client/tickcast.js').Room} room
   * @param {any} snapshot
   * @param {any} you
   */
  enter(room, snapshot, you) {
    if (this.room !== room) {
      this.room = room;
      this.opened = 0;
      this.strip = -1;
      this.answers = [];
      for (const p of this.panels) p.reset();
    }
    this.#set(this.#withAnswers(open(snapshot, you)));
  }

  leave() {
    this.room = null;
    this.state = null;
  }

  /** @param {any} you */
  you(you) {
    if (this.state) this.#set(this.#withAnswers(withYou(this.state, you)));
  }

  /** @param {import('./betpanel.js').Change} change */
  #answered(change) {
    if (!this.state || !this.room) return;
    this.answers = [...this.answers, { at: this.room.localNow(), change }].slice(-ANSWERS);
    this.#set(change(this.state));
  }

  /**
   * What the server said of the player when a room was joined can be older than
   * answers that came meanwhile.
   * @param {import('../client/crash.js').CrashState} s
   */
  #withAnswers(s) {
    const asked = this.room?.asked ?? Infinity;
    return this.answers.filter((a) => a.at >= asked).reduce((state, a) => a.change(state), s);
  }

  /** @param {import('../client/messages.js').GameEvent[]} events */
  update(events) {
    if (!this.state) return;
    let s = this.state;
    for (const ev of events) {
      s = reduce(s, ev, this.app.me());
      if (ev.e === 'phase' || ev.e === 'void') this.#announce(s, ev);
    }
    this.#set(s);
  }

  /** @param {import('../client/messages.js').GameEvent} ev */
  notice(ev) {
    if (this.state) this.#set(notice(this.state, ev));
  }

  /** Does what the big button of the panel that was used last does. */
  act() {
    this.panels[this.lastActive].act();
  }

  /** @param {import('../client/crash.js').CrashState} s */
  #set(s) {
    const before = this.state;
    this.state = s;
    this.dirty = true;
    if (s.fairness !== before?.fairness || s.nextChain !== before?.nextChain) rememberCommitments(s);
    if (s.phase === 'crashed' && before?.phase !== 'crashed') this.app.roundEnded();
    if (s.phase === 'betting' && this.opened < s.round) {
      this.opened = s.round;
      for (const p of this.panels) p.opened(s);
    }
  }

  /**
   * Says changes of phase to those who do not look.
   * @param {import('../client/crash.js').CrashState} s
   * @param {any} ev
   */
  #announce(s, ev) {
    const say = (/** @type {string} */ words) => text(byId('announce'), words);
    if (ev.e === 'void') say(`Round ${s.round} was voided`);
    else if (ev.phase === 'betting') say(`Round ${s.round} takes bets`);
    else if (ev.phase === 'flying') say('The round is flying');
    else if (ev.phase === 'crashed') say(`Crashed at ${times(ev.centi)}`);
  }

  /**
   * Draws a frame.
   * @param {number} at local ms
   */
  frame(at) {
    const { state: s, room } = this;
    if (!s || !room) return;
    const now = room.now();
    const us = this.#elapsed(s, now);
    const centi = s.phase === 'flying' ? Math.min(centiAt(us), s.settings.cap) : 100;
    const frozen = s.phase !== 'idle' && room.frozen();
    this.stage.draw({ phase: s.phase, us, frozen, outs: this.#outs(s) }, at);
    this.#readout(s, now, centi, frozen);
    this.frozen.frame(room, frozen, at);
    for (const p of this.panels) p.render(s, centi);
    if (this.dirty) this.#lists(s);
  }

  /**
   * Microseconds of flight to draw. The crash is drawn where the curve was to
   * read more than the crash point for the first time.
   * @param {import('../client/crash.js').CrashState} s
   * @param {number} now
   */
  #elapsed(s, now) {
    if (s.phase === 'flying') return Math.max(0, (Number.isNaN(now) ? s.start : now) - s.start);
    const last = s.history[0];
    if (s.phase !== 'crashed' || last?.round !== s.round || last.voided || !last.centi) return 0;
    return timeOf(last.centi + 1);
  }

  /** @param {import('../client/crash.js').CrashState} s */
  #outs(s) {
    const me = this.app.me();
    const others = s.outs.filter((o) => o.player !== me).map((o) => ({ ...o, mine: false }));
    const mine = s.own
      .filter((b) => b.round === s.round && b.state === 'won' && b.centi)
      .map((b) => ({ name: 'You', centi: b.centi ?? 0, payout: b.payout ?? 0, mine: true }));
    return [...others, ...mine];
  }

  /**
   * @param {import('../client/crash.js').CrashState} s
   * @param {number} now game time in microseconds
   * @param {number} centi
   * @param {boolean} frozen
   */
  #readout(s, now, centi, frozen) {
    const left = s.end === null || Number.isNaN(now) ? 0 : Math.max(0, (s.end - now) / 1e6);
    const last = s.history[0];
    const voided = s.phase === 'crashed' && last?.round === s.round && last.voided;
    let [label, value, note] = ['', '', ''];
    if (s.phase === 'betting') [label, value, note] = ['Next round in', left.toFixed(1), 'Place your bets'];
    else if (s.phase === 'locked') [label, value, note] = ['Bets are closed', 'Ready', ''];
    else if (s.phase === 'flying') [value] = [times(centi)];
    else if (voided) [label, value, note] = ['The round was', 'Voided', 'All open stakes come back'];
    else if (s.phase === 'crashed') [label, value, note] = ['Crashed at', times(last?.centi ?? 100), `Next round in ${left.toFixed(1)} s`];
    else [label, value, note] = ['The room is', 'Paused', 'An operator will start the next round'];
    if (s.state === 'pausing' && s.phase !== 'idle') note = 'The room pauses after this round';
    text(byId('readout-label'), label);
    text(byId('readout-value'), value);
    text(byId('readout-note'), note);
    const stage = byId('stage');
    stage.dataset.phase = voided ? 'voided' : s.phase;
    stage.dataset.frozen = frozen ? 'yes' : 'no';
    const bar = s.phase === 'betting' && s.end !== null;
    byId('readout-bar').hidden = !bar;
    if (bar && s.end !== null) byId('readout-fill').style.transform = `scaleX(${(left * 1e6) / (s.end - s.start)})`;
  }

  /** @param {import('../client/crash.js').CrashState} s */
  #lists(s) {
    this.dirty = false;
    text(byId('round-label'), `Round ${count(s.round)}`);
    showLiveBets(s, this.app.me());
    for (const p of this.panels) p.showResult();
    const { min_stake, max_stake, max_win, cap } = s.settings;
    const limits = [`Stake ${money(min_stake)} to ${money(max_stake)}`, `highest win ${money(max_win)}`, `cap ${times(cap)}`];
    text(byId('limits'), limits.map((l) => l.replaceAll(' ', '\u00a0') + ' · ').join(''));
    this.#history(s);
  }

  /** @param {import('../client/crash.js').CrashState} s */
  #history(s) {
    const strip = byId('history');
    const newest = s.history[0]?.round ?? 0;
    if (newest === this.strip) return;
    if (this.strip >= 0 && s.history[1]?.round === this.strip) {
      // The others stay: somebody may have the focus there.
      strip.prepend(this.#past(s.history[0], ' fresh'));
      while (strip.childElementCount > s.history.length) strip.lastElementChild?.remove();
    } else {
      fill(strip, s.history.map((p) => this.#past(p, '')));
    }
    this.strip = newest;
    if (!strip.contains(document.activeElement)) strip.scrollLeft = 0;
  }

  /**
   * @param {import('../client/crash.js').PastRound} p
   * @param {string} more classes
   */
  #past(p, more) {
    const at = p.voided || p.centi === undefined ? null : p.centi;
    return h(
      'span',
      { role: 'listitem' },
      h(
        'button',
        {
          class: 'past ' + (at === null ? 'h-void' : 'h-' + height(at)) + more,
          'aria-label': `Round ${p.round}: ${at === null ? 'voided' : times(at)}. Check it.`,
          onClick: () => void this.fair.open(p.round),
        },
        at === null ? 'void' : times(at),
      ),
    );
  }
}
