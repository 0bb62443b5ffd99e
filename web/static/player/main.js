// @ts-check
// The player's page: puts the client, the game's view and what stands around it
// together.

import { CommandError, socketURL, Client } from '../client/tickcast.js';
import { button, byId, closeOnBackdrop, dialog, tabs, text } from '../ui/dom.js';
import { count, money } from '../ui/format.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { Chat } from './chat.js';
import { ConnectionLight } from './connection.js';
import { CrashView } from './crashview.js';
import { logIn, signIn, SignInError, storedToken, storeToken, takeLaunchToken } from './identity.js';
import { get, Leaders, PastBets } from './lists.js';
import { Profile } from './profile.js';
import { RaceView } from './raceview.js';
import { RoomDetails, RoomPicker } from './rooms.js';

/** A refill is offered to those who cannot cover the smallest stake (P4.10). */
const REFILL_BELOW = 100;

/**
 * The archive and the leaders follow the end of a round after a moment; and not
 * all players of a room ask in the same one.
 */
const ARCHIVED_MS = 1500;
const SPREAD_MS = 2500;

const quiet = matchMedia('(prefers-reduced-motion: reduce)');
const wide = matchMedia('(min-width: 1100px)');

/** The operator's token that the page was opened with, until it was traded in. */
let launch = takeLaunchToken();

/**
 * The token to say hello with: that of the operator's player who opened the page, the
 * stored one, or a new guest's.
 * @param {{fresh: boolean}} o
 */
async function token(o) {
  if (launch) {
    try {
      const known = await logIn(launch);
      launch = '';
      storeToken(known.token);
      return known.token;
    } catch (err) {
      if (!(err instanceof SignInError) || err.code !== 'invalid_token') throw err; // tried again
      launch = '';
      toast('The sign-in that this page was opened with is not valid.', 'bad');
    }
  }
  const stored = storedToken();
  if (stored && !o.fresh) return stored;
  try {
    const guest = await signIn('', stored).catch((err) => {
      if (stored && err instanceof SignInError && err.code === 'invalid_token') return signIn('', '');
      throw err;
    });
    storeToken(guest.token);
    return guest.token;
  } catch (err) {
    if (err instanceof SignInError) light.say(words(/** @type {any} */ (err)));
    throw err;
  }
}

const client = new Client({ url: socketURL(location), token });
const light = new ConnectionLight(client);
const pastBets = new PastBets(storedToken);
const leaders = new Leaders();
const app = {
  client,
  me: () => client.player?.id,
  roundEnded: () => {
    pastBets.stale = true;
    setTimeout(() => {
      if (!byId('panel-mine').hidden) pastBets.refresh();
      if (!byId('panel-board').hidden) void leaders.refresh();
    }, ARCHIVED_MS + SPREAD_MS * Math.random());
  },
  calm: () => quiet.matches,
};
const crash = new CrashView(app);
const race = new RaceView(app);
/** @type {CrashView | RaceView | null} */
let view = null;
/** @type {import('../client/tickcast.js').Room | null} */
let room = null;

const chat = new Chat((line) => client.say(room?.id ?? '', line), app.me);
const picker = new RoomPicker((id) => goTo(id));
const profile = new Profile(client);
new RoomDetails(() => view?.state ?? null);
const tabList = tabs(byId('tabs'), (id) => {
  if (id === 'tab-mine') pastBets.refresh();
  if (id === 'tab-board') void leaders.refresh();
  if (id === 'tab-chat') chat.seen();
});

/**
 * Leaves the room and joins another.
 * @param {string} id
 */
function goTo(id) {
  if (room?.id === id) return;
  const old = room;
  room = null;
  if (old) client.leave(old.id);
  view?.leave();
  show(null);
  text(byId('empty-label'), 'Joining');
  text(byId('empty-note'), id);
  room = client.join(id);
  follow(room);
  history.replaceState(null, '', '#' + id);
}

/** @param {import('../client/tickcast.js').Room} r */
function follow(r) {
  const current = (/** @type {() => void} */ fn) => {
    if (r === room) fn();
  };
  r.on('snapshot', ({ snapshot, you }) => current(() => enter(r, snapshot, you)));
  r.on('you', ({ you }) => current(() => view?.you(you)));
  r.on('update', ({ events }) => current(() => view?.update(events)));
  r.on('notice', (ev) => current(() => view?.notice(ev)));
  r.on('chatlog', (lines) => current(() => chat.show(lines)));
  r.on('chat', (line) => current(() => chat.add(line)));
  r.on('players', (n) => current(() => online(n)));
  r.on('resumed', ({ recovered }) => current(() => {
    if (!recovered) toast('You were away for a while. This is how the room stands.');
  }));
  r.on('skip', () => current(() => toast('Your connection is slow: some updates were left out.')));
  r.on('refused', (e) => current(() => gone(words(e))));
  r.on('left', () => current(() => gone('The room was closed.')));
}

/**
 * @param {import('../client/tickcast.js').Room} r
 * @param {any} snapshot
 * @param {any} you
 */
function enter(r, snapshot, you) {
  const next = snapshot.game === 'race' ? race : snapshot.game === 'crash' ? crash : null;
  if (!next) return gone('This page does not know the game of this room.');
  if (view !== next) {
    view?.leave();
    show(next);
  }
  next.enter(r, snapshot, you);
  text(byId('room-name'), snapshot.name || r.id);
  document.title = `${snapshot.name || r.id} · Tickcast`;
  if (leaders.game !== snapshot.game) {
    leaders.game = snapshot.game;
    if (!byId('panel-board').hidden) void leaders.refresh();
  }
}

/** @param {CrashView | RaceView | null} next */
function show(next) {
  view = next;
  byId('crash').hidden = next !== crash;
  byId('race').hidden = next !== race;
  byId('empty').hidden = next !== null;
  byId('tab-live').hidden = byId('tab-mine').hidden = next === race;
  if (next === race && (!byId('panel-live').hidden || !byId('panel-mine').hidden)) tabList.select('tab-board');
  if (next === crash && byId('panel-chat').hidden && byId('panel-mine').hidden) tabList.select('tab-live');
}

/** @param {string} why */
function gone(why) {
  room = null;
  view?.leave();
  show(null);
  byId('online').hidden = true;
  text(byId('room-name'), 'Rooms');
  text(byId('empty-label'), 'No room');
  text(byId('empty-note'), why);
  void picker.open();
}

/** @param {number} n */
function online(n) {
  byId('online').hidden = false;
  text(byId('online-count'), count(n));
}

client.on('balance', (b) => {
  const el = byId('balance');
  text(el, money(b.amount));
  button('refill').hidden = b.amount >= REFILL_BELOW;
});

client.on('welcome', (w) => {
  leaders.me = w.player.id;
  profile.show(w.player);
});

client.on('error', (e) => toast(words(e), 'bad'));

client.on('state', (s) => {
  // A token of another installation, or an expired one: this browser plays as a new guest.
  if (s.state === 'ended' && s.code === 3500 && storedToken()) {
    storeToken('');
    toast('Your earlier sign-in is not valid here any more. You play as a new guest.');
    client.connect();
  }
});

button('refill').addEventListener('click', async () => {
  const b = button('refill');
  b.disabled = true;
  try {
    const r = await client.refill();
    toast(`${money(r.amount)} credits are yours.`, 'good');
  } catch (err) {
    if (err instanceof CommandError) toast(words(err), 'bad');
  } finally {
    b.disabled = false;
  }
});

document.addEventListener('keydown', (ev) => {
  if (ev.code !== 'Space' || ev.repeat || ev.ctrlKey || ev.altKey || ev.metaKey || document.querySelector('dialog[open]')) return;
  const at = /** @type {HTMLElement} */ (ev.target);
  // A focused control keeps its own space, except that the big buttons do here what they would do anyway. A list scrolls.
  if (at.matches('input:not([type=checkbox]), textarea, select, [tabindex="0"]') || (at.matches('button, a, input') && !at.matches('.big, .tap'))) return;
  ev.preventDefault();
  view?.act();
});
document.addEventListener('keyup', (ev) => {
  // The press has acted; the release must not click the focused button again.
  if (ev.code === 'Space' && /** @type {HTMLElement} */ (ev.target).matches?.('.big, .tap')) ev.preventDefault();
});

/** On a wide page the chat has a column, on a narrow one a tab. */
function placeChat() {
  byId('tab-chat').hidden = wide.matches;
  (wide.matches ? byId('chat-side') : byId('panel-chat')).append(byId('chat'));
  byId('chat-side').hidden = !wide.matches;
  if (wide.matches && !byId('panel-chat').hidden) tabList.select(view === race ? 'tab-board' : 'tab-live');
  chat.seen();
}
wide.addEventListener('change', placeChat);
placeChat();

window.addEventListener('online', () => client.wake());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) client.wake();
});
window.addEventListener('hashchange', () => {
  const id = location.hash.slice(1);
  if (id) goTo(id);
});
for (const id of ['rooms-dialog', 'profile-dialog', 'limits-dialog', 'connection-dialog']) closeOnBackdrop(dialog(id));

function frame() {
  requestAnimationFrame(frame); // first: a frame that fails must not be the last
  view?.frame(performance.now());
}

frame();
client.connect();
void get('/api/info').then((info) => text(byId('version'), info.version ? 'Tickcast ' + info.version : ''));
goTo(location.hash.slice(1) || (await picker.first()));
