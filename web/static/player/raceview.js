// @ts-check
import { open, reduce, tapped, withYou } from '../client/race.js';
import { button, byId, fill, h, text } from '../ui/dom.js';
import { count } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { FrozenNote } from './frozen.js';

/** Taps are sent this often at most, each with the count so far: a lost one does no harm. */
const SEND_MS = 120;

/** The game `race` on the page. */
export class RaceView {
  /** @param {import('./crashview.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {import('../client/tickcast.js').Room | null} */
    this.room = null;
    /** @type {import('../client/race.js').RaceState | null} */
    this.state = null;
    this.frozen = new FrozenNote('race-frozen', app.client);
    this.sent = 0;
    this.sentAt = 0;
    this.underway = 0;
    this.dirty = true;
    const tap = button('tap');
    // pointerdown, because a click comes late and two fingers make one.
    tap.addEventListener('pointerdown', (ev) => {
      ev.preventDefault();
      tap.focus({ preventScroll: true });
      this.act();
    });
    tap.addEventListener('click', (ev) => {
      if (ev.detail === 0) this.act(); // the keyboard, or a screen reader
    });
  }

  /**
   * Shows a room from now on.
   * @param {import('../client/tickcast.js').Room} room
   * @param {any} snapshot
   * @param {any} you
   */
  enter(room, snapshot, you) {
    const before = this.room === room ? this.state : null;
    this.room = room;
    const s = open(snapshot, you);
    const again = before !== null && before.round === s.round;
    this.sent = again ? this.sent : s.points;
    this.#set(again ? tapped(s, s.round, before.points) : s); // taps that are on their way still count
  }

  leave() {
    this.room = null;
    this.state = null;
  }

  /** @param {any} you */
  you(you) {
    if (this.state) this.#set(withYou(this.state, you));
  }

  /** @param {import('../client/messages.js').GameEvent[]} events */
  update(events) {
    let s = this.state;
    if (!s) return;
    const { round, phase } = s;
    for (const ev of events) s = reduce(s, ev);
    if (s.round !== round) this.sent = 0;
    if (s.phase === 'finished' && phase !== 'finished') this.app.roundEnded();
    // The last taps may have come too late: the result is what counts.
    const mine = s.phase === 'finished' ? s.top.find((t) => t.player === this.app.me()) : undefined;
    this.#set(mine ? { ...s, points: mine.points } : s);
  }

  notice() {}

  /** @param {import('../client/race.js').RaceState} s */
  #set(s) {
    this.state = s;
    this.dirty = true;
  }

  /** One tap. */
  act() {
    const s = this.state;
    if (!s || s.phase !== 'running' || !this.room) return;
    this.#set(tapped(s, s.round, s.points + 1));
    const tap = button('tap');
    tap.classList.remove('hit');
    void tap.offsetWidth; // lets the animation start again
    tap.classList.add('hit');
  }

  /**
   * Sends the count so far if there is something to tell.
   * @param {number} at local ms
   */
  async #send(at) {
    const { state: s, room } = this;
    if (!s || !room || s.phase !== 'running' || s.points <= this.sent || at - this.sentAt < SEND_MS || this.underway >= 4) return;
    const n = s.points;
    this.sent = n;
    this.sentAt = at;
    this.underway++;
    try {
      await this.app.client.command(room.id, 'tap', { round: s.round, args: { n }, patience: 5000 });
    } catch (err) {
      this.#refused(/** @type {any} */ (err), s.round);
    } finally {
      this.underway--;
    }
  }

  /**
   * @param {{code: string, message: string}} err
   * @param {number} round
   */
  #refused(err, round) {
    const s = this.state;
    if (!s || s.round !== round || err.code === 'wrong_phase' || err.code === 'wrong_round' || err.code === 'stale_round') return;
    if (err.code === 'too_fast') {
      const most = Math.max(0, ...s.top.filter((t) => t.player === this.app.me()).map((t) => t.points));
      this.#set({ ...s, points: Math.min(s.points, Math.max(most, this.sent - 1)) });
      this.sent = most;
    }
    toast(words(err), 'bad');
  }

  /**
   * Draws a frame.
   * @param {number} at local ms
   */
  frame(at) {
    const { state: s, room } = this;
    if (!s || !room) return;
    void this.#send(at);
    const now = room.now();
    const left = s.end === null || Number.isNaN(now) ? 0 : Math.max(0, (s.end - now) / 1e6);
    const labels = { gathering: 'The race starts in', running: 'Time left', finished: 'Next race in', idle: 'The room is paused' };
    text(byId('race-label'), labels[s.phase] ?? '');
    text(byId('race-clock'), s.phase === 'idle' ? '–' : left.toFixed(1) + ' s');
    const whole = s.end === null ? 1 : Math.max(1, (s.end - s.start) / 1e6);
    byId('race-fill').style.transform = `scaleX(${s.phase === 'idle' ? 0 : left / whole})`;
    this.frozen.frame(room, s.phase !== 'idle' && room.frozen(), at);
    if (this.dirty) this.#show(s);
  }

  /** @param {import('../client/race.js').RaceState} s */
  #show(s) {
    this.dirty = false;
    const me = this.app.me();
    byId('race-stage').dataset.phase = s.phase;
    button('tap').disabled = s.phase !== 'running';
    text(byId('tap-word'), s.phase === 'running' ? 'Tap!' : s.phase === 'gathering' ? 'Get ready' : s.phase === 'finished' ? 'Finished' : 'Paused');
    text(byId('race-points'), count(s.points));
    const place = s.top.findIndex((t) => t.player === me);
    let note = `${count(s.players)} ${s.players === 1 ? 'player has' : 'players have'} tapped`;
    if (s.phase === 'gathering') note = 'As many taps as you can, as soon as the clock starts.';
    if (s.phase === 'finished' && s.top[0]) note = place === 0 ? 'You have won!' : `${s.top[0].name} has won${place > 0 ? `, you are number ${place + 1}` : ''}.`;
    text(byId('race-note'), note);
    const { running_ms, max_taps_per_s } = s.settings;
    text(byId('race-limits'), `${running_ms / 1000} s to tap · up to ${count(max_taps_per_s)} taps a second count ·`);
    text(byId('race-board-title'), s.phase === 'finished' ? `Result of race ${count(s.round)}` : `Race ${count(s.round)}: top ten`);
    const most = Math.max(1, s.top[0]?.points ?? 1);
    fill(byId('race-top'), s.top.length ? s.top.map((t, i) => raceRow(t, i, most, t.player === me)) : h('li', { class: 'rows-more' }, 'Nobody has tapped yet.'));
    fill(
      byId('race-history'),
      s.history.slice(0, 12).map((p) =>
        h(
          'li',
          null,
          h('span', null, `Race ${count(p.round)}`),
          h('span', { class: 'who' }, p.winner ? p.winner.name : 'nobody'),
          h('strong', null, p.winner ? count(p.winner.points) : '–'),
        ),
      ),
    );
  }
}

/**
 * @param {import('../client/race.js').Score} t
 * @param {number} i
 * @param {number} most
 * @param {boolean} mine
 */
function raceRow(t, i, most, mine) {
  const bar = h('span', { class: 'race-bar' });
  bar.style.width = `${(100 * t.points) / most}%`;
  return h(
    'li',
    { class: 'race-row', dataset: { me: mine ? 'yes' : 'no' } },
    bar,
    h('span', { class: 'place' }, String(i + 1)),
    h('span', { class: 'who' }, mine ? 'You' : t.name || t.player),
    h('strong', null, count(t.points)),
  );
}
