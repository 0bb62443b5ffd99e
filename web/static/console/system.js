// @ts-check
import { byId, fill, h } from '../ui/dom.js';
import { count, money } from '../ui/format.js';
import { badge, num, span, table } from './table.js';

/**
 * @typedef {object} Partition
 * @property {number} partition
 * @property {boolean} owner
 * @property {number} epoch
 * @property {number} seq
 * @property {number} lag
 * @property {number} game_time
 * @property {number} rooms
 * @property {number} outstanding
 * @property {string} [halted]
 * @property {number} [lost_at]
 * @property {string} [node]
 *
 * @typedef {object} Node
 * @property {string} id
 * @property {string} role
 * @property {string} version
 * @property {number} started
 * @property {boolean} [draining]
 * @property {number} [connections]
 * @property {number} [capacity]
 * @property {string} [address]
 * @property {Partition[]} [partitions]
 */

/** @param {Node[]} nodes */
export function showNodes(nodes) {
  table(
    'nodes',
    nodes.map((n) => {
      const owned = (n.partitions ?? []).filter((p) => p.owner).map((p) => p.partition);
      const follows = (n.partitions?.length ?? 0) - owned.length;
      return [
        h('strong', null, n.id),
        n.role,
        n.draining ? badge('draining', 'warn') : badge('up', 'good'),
        num(n.role === 'gateway' ? `${count(n.connections ?? 0)}${n.capacity ? ' of ' + count(n.capacity) : ''}` : '–'),
        n.role === 'room' ? `owns ${owned.join(', ') || 'none'}${follows ? ` · follows ${follows}` : ''}` : '–',
        n.version || '–',
        span(Date.now() - n.started),
        n.address || '–',
      ];
    }),
    'No node was heard in the last seconds.',
  );
}

/**
 * One line a partition, from what all room servers say of it.
 * @param {Node[]} nodes
 */
export function showPartitions(nodes) {
  /** @type {Map<number, {node: Node, p: Partition}[]>} */
  const all = new Map();
  for (const node of nodes) {
    for (const p of node.partitions ?? []) {
      const list = all.get(p.partition) ?? [];
      list.push({ node, p });
      all.set(p.partition, list);
    }
  }
  table(
    'partitions',
    [...all.keys()].sort((a, b) => a - b).map((k) => partitionRow(k, all.get(k) ?? [])),
    'No room server speaks for a partition.',
  );
}

/**
 * @param {number} partition
 * @param {{node: Node, p: Partition}[]} seen
 */
function partitionRow(partition, seen) {
  const owner = seen.find((s) => s.p.owner);
  const others = seen.filter((s) => s !== owner);
  const p = owner?.p ?? seen[0].p;
  const halted = seen.filter((s) => s.p.halted).map((s) => h('small', null, `${s.node.id} halted: ${s.p.halted}`));
  const lost = p.lost_at ? [h('small', null, `the log had lost its tail ${new Date(p.lost_at).toLocaleString()}`)] : [];
  return [
    num(partition),
    { class: '', of: [owner ? h('strong', null, owner.node.id) : badge('no owner', 'bad'), ...halted, ...lost] },
    num(count(p.epoch)),
    num(count(p.seq)),
    num(p.lag > 1000 ? badge(count(p.lag), 'warn') : count(p.lag)),
    num(count(p.rooms)),
    num(count(p.outstanding)),
    span(p.game_time / 1e6),
    others.map((s) => `${s.node.id} (lag ${s.p.lag})`).join(', ') || '–',
  ];
}

/** @param {any[]} streams */
export function showLog(streams) {
  table(
    'log',
    streams.map((s) => [
      h('strong', null, s.name),
      num(count(s.messages ?? 0)),
      num(bytes(s.bytes ?? 0)),
      num(count(s.first_seq ?? 0)),
      num(count(s.last_seq ?? 0)),
      num(s.replicas ?? 1),
      s.leader || '–',
      s.error ? badge(s.error, 'bad') : badge('ok', 'good'),
    ]),
    'The streams of the log cannot be read at the moment.',
  );
}

/** @param {any} health */
export function showLedger(health) {
  /** @type {[string, string | globalThis.Node][]} */
  const rows = [
    ['Database', health.database],
    ['Sum of all entries', h('span', null, money(health.entry_sum) + ' ', health.entry_sum === 0 ? badge('balanced', 'good') : badge('must be zero', 'bad'))],
    ['Transfers', count(health.transfers)],
    ['Accounts', count(health.accounts)],
    ['Waiting in the queue', count(health.queued)],
    .../** @type {[string, string | globalThis.Node][]} */ (health.wallet ? [['Wallet', walletState(health.wallet)]] : []),
  ];
  fill(byId('ledger'), h('dl', { class: 'facts' }, rows.map(([k, v]) => [h('dt', null, k), h('dd', null, v)]).flat()));
}

/** @param {{queued: number, oldest?: number}} wallet */
function walletState(wallet) {
  if (wallet.queued === 0) return badge('nothing unknown', 'good');
  return h('span', null, `${count(wallet.queued)} unknown since ${new Date(wallet.oldest ?? 0).toLocaleString()} `, badge('see tickcast wallet queue', 'bad'));
}

/** @param {any} err */
export function showLedgerDown(err) {
  fill(byId('ledger'), badge('not reachable', 'bad'), h('p', { class: 'hint' }, err.message ?? ''));
}

/** @param {number} n */
function bytes(n) {
  if (n < 10_000) return count(n) + ' B';
  if (n < 10_000_000) return count(n / 1000) + ' kB';
  return count(n / 1_000_000) + ' MB';
}
