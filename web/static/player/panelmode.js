// @ts-check
// What the big button of a bet panel says and does, as a pure function.

import { ownBet } from '../client/crash.js';
import { money, times } from '../ui/format.js';

/**
 * @typedef {object} Local what only this page knows of a panel
 * @property {'bet' | 'cancel' | 'cashout' | null} waiting for the answer to this command
 * @property {boolean} queued bet as soon as the next round takes bets
 * @property {number} stake in minor units, NaN if what was typed is no stake
 * @property {number} target in hundredths, 0 for none, NaN if what was typed is none
 * @property {boolean} live the room is followed at the moment
 *
 * @typedef {object} Mode
 * @property {'bet' | 'cancel' | 'cashout' | 'wait' | 'off'} look
 * @property {'bet' | 'cancel' | 'cashout' | 'queue' | 'unqueue' | null} does
 * @property {number} round the round that the action is for
 * @property {string} label
 * @property {string} note
 * @property {boolean} locked the stake cannot be changed
 */

/**
 * @param {import('../client/crash.js').CrashState} s
 * @param {number} slot
 * @param {Local} local
 * @param {number} centi what the curve reads
 * @returns {Mode}
 */
export function panelMode(s, slot, local, centi) {
  const current = ownBet(s, slot, s.round);
  const next = ownBet(s, slot, s.round + 1);
  if (local.waiting === 'bet') return mode('wait', null, s.round, 'Placing bet…', money(local.stake), true);
  if (local.waiting === 'cancel') return mode('wait', null, s.round, 'Cancelling…', '', true);
  switch (s.phase) {
    case 'betting':
      if (current) return mode('cancel', 'cancel', s.round, 'Cancel', `Bet of ${money(current.stake)} is in`, true);
      return bet(s, local, s.round, 'bet', 'Bet');
    case 'locked':
      if (current) return mode('wait', null, s.round, 'Good luck', `${money(current.stake)} in play`, true);
      return later(s, local);
    case 'flying':
      if (current?.state === 'open') return flying(s, current, local, centi);
      if (next) return mode('cancel', 'cancel', s.round + 1, 'Cancel', `${money(next.stake)} on the next round`, true);
      return bet(s, local, s.round + 1, 'bet', 'Bet next round');
    case 'crashed':
      if (next) return mode('cancel', 'cancel', s.round + 1, 'Cancel', `${money(next.stake)} on the next round`, true);
      return later(s, local);
  }
  if (next) return mode('cancel', 'cancel', s.round + 1, 'Cancel', `${money(next.stake)} on the next round`, true);
  if (local.queued) return later(s, local);
  return mode('off', null, s.round, 'Paused', 'No round at the moment', false);
}

/**
 * @param {import('../client/crash.js').CrashState} s
 * @param {import('../client/crash.js').OwnBet} current
 * @param {Local} local
 * @param {number} centi
 */
function flying(s, current, local, centi) {
  if (local.waiting === 'cashout') return mode('wait', null, s.round, 'Cashing out…', '', true);
  if (centi <= 100) return mode('off', null, s.round, 'Cash out', 'from 1.01× on', true);
  const pays = current.auto && centi >= current.auto ? current.auto : centi;
  return mode('cashout', 'cashout', s.round, 'Cash out ' + times(pays), '+' + money((current.stake * pays) / 100), true);
}

/**
 * @param {import('../client/crash.js').CrashState} s
 * @param {Local} local
 * @param {number} round
 * @param {'bet' | 'queue'} does
 * @param {string} label
 */
function bet(s, local, round, does, label) {
  if (Number.isNaN(local.stake)) return mode('off', null, round, label, 'Whole credits only', false);
  if (local.stake < s.settings.min_stake) return mode('off', null, round, label, 'At least ' + money(s.settings.min_stake), false);
  if (local.stake > s.settings.max_stake) return mode('off', null, round, label, 'At most ' + money(s.settings.max_stake), false);
  const { target } = local;
  if (Number.isNaN(target) || (target !== 0 && target < 101)) return mode('off', null, round, label, 'Cash-out from 1.01× on', false);
  if (target > s.settings.cap) return mode('off', null, round, label, 'Cash-out up to ' + times(s.settings.cap), false);
  if (!local.live) return mode('off', null, round, label, 'No connection', false);
  return mode('bet', does, round, label, money(local.stake), false);
}

/**
 * Between two rounds nothing can be bet: the page remembers the wish.
 * @param {import('../client/crash.js').CrashState} s
 * @param {Local} local
 */
function later(s, local) {
  if (local.queued) return mode('cancel', 'unqueue', s.round + 1, 'Cancel', 'Bets when the next round opens', true);
  return bet(s, local, s.round + 1, 'queue', 'Bet next round');
}

/**
 * @param {Mode['look']} look
 * @param {Mode['does']} does
 * @param {number} round
 * @param {string} label
 * @param {string} note
 * @param {boolean} locked
 * @returns {Mode}
 */
function mode(look, does, round, label, note, locked) {
  return { look, does, round, label, note, locked };
}
