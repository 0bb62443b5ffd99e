// @ts-check
import { byId, fill, h, input } from '../ui/dom.js';
import { clock } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';

/** Colours of names: light enough on the panel, told apart by the player's ID. */
const COLORS = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'];

/** The chat of the room that is shown. */
export class Chat {
  /**
   * @param {(text: string) => Promise<void>} say
   * @param {() => string | undefined} me the player's ID
   */
  constructor(say, me) {
    this.say = say;
    this.me = me;
    this.lines = byId('chat-lines');
    this.unread = 0;
    const form = byId('chat-form');
    const box = input('chat-text');
    form.addEventListener('submit', async (ev) => {
      ev.preventDefault();
      const text = box.value.trim();
      if (!text) return;
      box.value = '';
      try {
        await this.say(text);
      } catch (err) {
        if (!box.value) box.value = text;
        toast(words(/** @type {any} */ (err)), 'bad');
      }
    });
  }

  /** @param {import('../client/messages.js').ChatLine[]} lines */
  show(lines) {
    fill(this.lines, lines.length ? lines.map((l) => this.#line(l)) : h('li', { class: 'chat-none' }, 'Nobody has said anything yet.'));
    this.lines.scrollTop = this.lines.scrollHeight;
    this.#count(0);
  }

  /** @param {import('../client/messages.js').ChatLine} line */
  add(line) {
    const { scrollTop, scrollHeight, clientHeight } = this.lines;
    const atEnd = scrollHeight - scrollTop - clientHeight < 40;
    this.lines.querySelector('.chat-none')?.remove();
    this.lines.append(this.#line(line));
    while (this.lines.childElementCount > 200) this.lines.firstElementChild?.remove();
    if (atEnd || line.player === this.me()) this.lines.scrollTop = this.lines.scrollHeight;
    if (!this.lines.offsetParent) this.#count(this.unread + 1);
  }

  /** The chat came into view. */
  seen() {
    this.#count(0);
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  /** @param {number} n */
  #count(n) {
    this.unread = n;
    const badge = byId('unread');
    badge.hidden = n === 0;
    badge.textContent = n > 9 ? '9+' : String(n);
  }

  /** @param {import('../client/messages.js').ChatLine} l */
  #line(l) {
    const mine = l.player === this.me();
    return h(
      'li',
      { class: 'chat-line' + (mine ? ' mine' : '') },
      h('span', { class: 'chat-name ' + colorOf(l.player) }, mine ? 'You' : l.name || l.player),
      h('time', { dateTime: new Date(l.at).toISOString() }, clock(l.at)),
      h('span', { class: 'chat-text' }, l.text),
    );
  }
}

/** @param {string} player */
function colorOf(player) {
  let n = 0;
  for (const c of player) n = (n * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return COLORS[n % COLORS.length];
}
