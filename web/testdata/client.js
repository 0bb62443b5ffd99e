// @ts-check
// A client on a blank page, for the tests that speak the server's side by hand.
import { Client, socketURL } from '/static/client/tickcast.js';

/** Makes what the tests use as globals. */
export function start() {
  /** @type {string[]} what the rooms said */
  const log = [];
  /** @type {string[]} */
  const states = [];
  let tokens = 0;
  const client = new Client({
    url: socketURL(location),
    token: ({ fresh }) => `token-${++tokens}${fresh ? '-fresh' : ''}`,
    env: { random: () => 0 },
  });
  client.on('state', (s) => states.push(s.state));
  const follow = (/** @type {string} */ id) => {
    const room = client.join(id);
    room.on('snapshot', () => log.push('snapshot ' + room.position?.seq));
    room.on('you', () => log.push('you'));
    room.on('update', (u) => log.push('update ' + u.seq));
    room.on('skip', (s) => log.push(`skip ${s.from}-${s.to}`));
    room.on('left', () => log.push('left'));
  };
  return { client, log, states, follow };
}
