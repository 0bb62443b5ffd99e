// @ts-check
// The operator's page: asks for the key, then shows and refreshes one section.

import { button, byId, fill, h, input, tabs, text } from '../ui/dom.js';
import { count } from '../ui/format.js';
import { words } from '../ui/words.js';
import { api, ApiError, credentials } from './api.js';
import { Players } from './players.js';
import { auditList, sessionList } from './records.js';
import { Rooms } from './rooms.js';
import { showLedger, showLedgerDown, showLog, showNodes, showPartitions } from './system.js';

const REFRESH_MS = 2000;

const rooms = new Rooms(() => void refresh());
const players = new Players(() => void refresh());
const audit = auditList();
const sessions = sessionList();
let section = 'tab-rooms';
/** raised at each refresh: only the last one is shown */
let turn = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

tabs(byId('tabs'), (id) => {
  section = id;
  audit.reset();
  sessions.reset();
  void refresh();
});

/** Reads what is shown, and again after a while. */
async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    await glance(mine);
    if (section === 'tab-players') await players.refresh();
    if (section === 'tab-system') await system(mine);
    if (section === 'tab-audit') await audit.refresh();
    if (section === 'tab-sessions') await sessions.refresh();
    if (mine === turn) fresh('ok', 'Live');
  } catch (err) {
    if (mine !== turn) return;
    if (err instanceof ApiError && (err.status === 401 || err.status === 403)) return signOut(words({ code: 'forbidden' }));
    fresh('bad', words(/** @type {any} */ (err)));
  }
  if (mine === turn && !document.hidden) timer = setTimeout(() => void refresh(), REFRESH_MS);
}

/**
 * @param {'ok' | 'bad' | 'wait'} state
 * @param {string} says
 */
function fresh(state, says) {
  byId('fresh').dataset.state = state;
  text(byId('fresh-text'), says);
}

/**
 * The tiles, and the rooms, which they count anyway.
 * @param {number} mine
 */
async function glance(mine) {
  const [list, up, ledger] = await Promise.all([
    api('GET', '/rooms'),
    api('GET', '/nodes'),
    api('GET', '/ledger').catch((/** @type {ApiError} */ e) => {
      if (e.status === 401 || e.status === 403) throw e;
      return null;
    }),
  ]);
  if (mine !== turn) return;
  /** @type {any[]} */
  const all = list.rooms ?? [];
  /** @type {any[]} */
  const nodes = up.nodes ?? [];
  rooms.show(all);
  const partitions = nodes.flatMap((n) => n.partitions ?? []);
  const owned = partitions.filter((p) => p.owner);
  const halted = partitions.filter((p) => p.halted).length;
  const lag = Math.max(0, ...owned.map((p) => p.lag));
  const gateways = nodes.filter((n) => n.role === 'gateway');
  const connections = gateways.reduce((sum, n) => sum + (n.connections ?? 0), 0);
  const roles = ['gateway', 'room', 'ledger'].map((r) => `${nodes.filter((n) => n.role === r).length} ${r}`).join(' · ');
  fill(
    byId('tiles'),
    tile('Rooms', String(all.filter((r) => r.state !== 'closed').length), `${all.filter((r) => r.state === 'running').length} running`),
    tile('Connections', count(connections), `on ${gateways.length} ${gateways.length === 1 ? 'gateway' : 'gateways'}`),
    tile('Nodes', String(nodes.length), roles),
    tile('Partitions', String(new Set(owned.map((p) => p.partition)).size), halted ? `${halted} halted` : `largest lag ${count(lag)}`, halted ? 'bad' : ''),
    ledger
      ? tile('Ledger', ledger.entry_sum === 0 ? 'Balanced' : 'Off', `${count(ledger.queued)} waiting`, ledger.entry_sum === 0 ? 'good' : 'bad')
      : tile('Ledger', 'Down', 'no new bets, flights go on', 'bad'),
  );
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} note
 * @param {'' | 'good' | 'bad'} [kind]
 */
function tile(label, value, note, kind = '') {
  return h('div', { class: 'card tile', dataset: { kind } }, h('span', null, label), h('strong', null, value), h('small', null, note));
}

/** @param {number} mine */
async function system(mine) {
  const [up, log, ledger] = await Promise.all([
    api('GET', '/nodes'),
    api('GET', '/log').catch(() => ({ streams: [] })),
    api('GET', '/ledger').catch((e) => e),
  ]);
  if (mine !== turn) return;
  showNodes(up.nodes ?? []);
  showPartitions(up.nodes ?? []);
  showLog(log.streams ?? []);
  if (ledger instanceof ApiError) showLedgerDown(ledger);
  else showLedger(ledger);
}

/** @param {string} [why] */
function signOut(why) {
  turn++;
  clearTimeout(timer);
  credentials.clear();
  byId('desk').hidden = true;
  byId('gate').hidden = false;
  text(byId('gate-error'), why ?? '');
  input('gate-name').value = credentials.name || 'operator';
  input('gate-key').value = '';
  input('gate-key').focus();
}

function signIn() {
  byId('gate').hidden = true;
  byId('desk').hidden = false;
  text(byId('operator'), credentials.name);
  void refresh();
}

byId('gate-form').addEventListener('submit', async (ev) => {
  ev.preventDefault();
  credentials.set(input('gate-key').value.trim(), input('gate-name').value.trim());
  try {
    await api('GET', '/rooms');
    signIn();
  } catch (err) {
    const e = /** @type {ApiError} */ (err);
    credentials.clear();
    text(byId('gate-error'), e.status === 401 || e.status === 403 ? words({ code: 'forbidden' }) : words(e));
  }
});
button('sign-out').addEventListener('click', () => signOut());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && credentials.key) void refresh();
});

if (credentials.key) signIn();
else signOut();
