// @ts-check
import { button, byId, dialog, fill, h, text } from '../ui/dom.js';
import { closeWords, words } from '../ui/words.js';

/** An interruption shorter than this is not worth a banner. */
const BANNER_MS = 1500;

/** The light in the head of the page, its dialog, and the banner of a longer interruption. */
export class ConnectionLight {
  /** @param {import('../client/tickcast.js').Client} client */
  constructor(client) {
    this.client = client;
    this.gateway = '';
    /** @type {number | null} local time since which the page is without a connection */
    this.since = performance.now();
    /** why nobody can sign in */
    this.refused = '';
    client.on('state', (s) => this.#state(s));
    client.on('rtt', () => this.#show());
    client.on('moved', () => this.#show());
    client.on('welcome', (w) => {
      this.gateway = w.gateway;
    });
    button('connection').addEventListener('click', () => {
      this.#facts();
      dialog('connection-dialog').showModal();
    });
    button('connection-again').addEventListener('click', () => {
      dialog('connection-dialog').close();
      client.wake(); // one of the two: it waits, or has given up
      client.connect();
    });
    setInterval(() => this.#show(), 500);
  }

  /**
   * The server does not let this browser sign in.
   * @param {string} why
   */
  say(why) {
    this.refused = why;
  }

  /** @param {import('../client/tickcast.js').StateEvent} s */
  #state(s) {
    if (s.state === 'online') {
      this.since = null;
      this.refused = '';
    } else {
      this.since ??= performance.now();
    }
    this.retryAt = s.retryIn === undefined ? null : performance.now() + s.retryIn;
    this.#show();
  }

  #show() {
    const { state } = this.client.status;
    const rtt = this.client.rtt;
    const light = byId('connection');
    light.dataset.state = state;
    const label = { idle: 'Offline', connecting: 'Connecting', waiting: 'Reconnecting', ended: 'Offline', online: rtt === null ? 'Online' : ms(rtt) }[state];
    text(byId('connection-text'), label);
    light.setAttribute('aria-label', state === 'online' ? `Connected, round trip ${rtt === null ? 'unknown' : ms(rtt)}` : label);
    this.#banner(state);
    if (dialog('connection-dialog').open) this.#facts();
  }

  /** @param {import('../client/tickcast.js').State} state */
  #banner(state) {
    const banner = byId('banner');
    const long = this.since !== null && performance.now() - this.since > BANNER_MS;
    banner.hidden = state === 'online' || !(long || state === 'ended');
    banner.dataset.kind = state === 'ended' ? 'bad' : 'warn';
    if (banner.hidden) return;
    const bets = ' Your bets fly on without you, and targets are kept.';
    if (state === 'ended') text(banner, this.#why() + ' Open the connection light to try again.');
    else if (this.refused) text(banner, this.refused);
    else text(banner, 'No connection at the moment.' + bets);
  }

  #why() {
    const { code, error } = this.client.status;
    return error && code !== 3503 ? words(error) : closeWords(code ?? 1006);
  }

  #facts() {
    const { state } = this.client.status;
    const left = this.retryAt ? Math.max(0, (this.retryAt - performance.now()) / 1000) : 0;
    const rtt = this.client.rtt;
    /** @type {[string, string][]} */
    const rows = [['State', { idle: 'offline', connecting: 'connecting', waiting: 'waiting', ended: 'ended', online: 'connected' }[state]]];
    if (state === 'online') rows.push(['Round trip', rtt === null ? 'not measured yet' : ms(rtt)], ['Gateway', this.gateway]);
    if (state === 'waiting') rows.push(['Next attempt', left.toFixed(0) + ' s']);
    if (state === 'waiting' || state === 'ended') rows.push(['Reason', this.#why()]);
    for (const r of this.client.rooms.values()) {
      if (r.position) rows.push(['Update of ' + r.id, String(r.position.seq)], ['Owner epoch', String(r.epoch)]);
    }
    fill(byId('connection-facts'), rows.map(([k, v]) => [h('dt', null, k), h('dd', null, v)]).flat());
    button('connection-again').hidden = state !== 'ended' && state !== 'waiting';
  }
}

/** @param {number} n */
function ms(n) {
  return n < 10 ? n.toFixed(1) + ' ms' : Math.round(n) + ' ms';
}
