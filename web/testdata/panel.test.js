// @ts-check
import { panelMode } from '/static/player/panelmode.js';
import { height, money, parseCredits, parseTimes, shortMoney, times } from '/static/ui/format.js';
import { words } from '/static/ui/words.js';
import { equal, test } from './check.js';

const settings = { min_stake: 100, max_stake: 100000, cap: 100000 };
const idle = { waiting: null, queued: false, stake: 1000, target: 0, live: true };

/** What the button does and looks like: 'look does@round label'. */
function button({ phase, own = [], centi = 187, local = {} }) {
  const m = panelMode(/** @type {any} */ ({ phase, round: 7, settings, own }), 0, /** @type {any} */ ({ ...idle, ...local }), centi);
  return `${m.look} ${m.does}@${m.round} ${m.label}${m.note ? ' / ' + m.note : ''}`;
}

const open = { slot: 0, round: 7, stake: 1000, state: 'open' };
const next = { ...open, round: 8 };

test('the big button says what it does', () => {
  for (const [why, given, want] of /** @type {[string, any, string][]} */ ([
    ['bet', { phase: 'betting' }, 'bet bet@7 Bet / 10.00'],
    ['placed', { phase: 'betting', own: [open] }, 'cancel cancel@7 Cancel / Bet of 10.00 is in'],
    ['refunded: the slot is free', { phase: 'betting', own: [{ ...open, state: 'refunded' }] }, 'bet bet@7 Bet / 10.00'],
    ['the other slot', { phase: 'betting', own: [{ ...open, slot: 1 }] }, 'bet bet@7 Bet / 10.00'],
    ['on its way', { phase: 'betting', local: { waiting: 'bet' } }, 'wait null@7 Placing bet… / 10.00'],
    ['locked in', { phase: 'locked', own: [open] }, 'wait null@7 Good luck / 10.00 in play'],
    ['locked out', { phase: 'locked' }, 'bet queue@8 Bet next round / 10.00'],
    ['too early', { phase: 'flying', own: [open], centi: 100 }, 'off null@7 Cash out / from 1.01× on'],
    ['cash out', { phase: 'flying', own: [open] }, 'cashout cashout@7 Cash out 1.87× / +18.70'],
    ['a passed target pays the target', { phase: 'flying', own: [{ ...open, auto: 150 }] }, 'cashout cashout@7 Cash out 1.50× / +15.00'],
    ['a target ahead', { phase: 'flying', own: [{ ...open, auto: 250 }] }, 'cashout cashout@7 Cash out 1.87× / +18.70'],
    ['cashing out', { phase: 'flying', own: [open], local: { waiting: 'cashout' } }, 'wait null@7 Cashing out…'],
    ['watching', { phase: 'flying' }, 'bet bet@8 Bet next round / 10.00'],
    ['cashed out', { phase: 'flying', own: [{ ...open, state: 'won' }] }, 'bet bet@8 Bet next round / 10.00'],
    ['cashed out and in again', { phase: 'flying', own: [{ ...open, state: 'won' }, next] }, 'cancel cancel@8 Cancel / 10.00 on the next round'],
    ['between rounds', { phase: 'crashed', own: [{ ...open, state: 'lost' }] }, 'bet queue@8 Bet next round / 10.00'],
    ['between rounds, wished', { phase: 'crashed', local: { queued: true } }, 'cancel unqueue@8 Cancel / Bets when the next round opens'],
    ['between rounds, placed', { phase: 'crashed', own: [next] }, 'cancel cancel@8 Cancel / 10.00 on the next round'],
    ['paused', { phase: 'idle' }, 'off null@7 Paused / No round at the moment'],
    ['paused, wished: what was wished can be taken back', { phase: 'idle', local: { queued: true } }, 'cancel unqueue@8 Cancel / Bets when the next round opens'],
    ['offline', { phase: 'betting', local: { live: false } }, 'off null@7 Bet / No connection'],
    ['a cash-out waits for the connection', { phase: 'flying', own: [open], local: { live: false } }, 'cashout cashout@7 Cash out 1.87× / +18.70'],
    ['no stake', { phase: 'betting', local: { stake: NaN } }, 'off null@7 Bet / Whole credits only'],
    ['too little', { phase: 'betting', local: { stake: 0 } }, 'off null@7 Bet / At least 1.00'],
    ['no target', { phase: 'betting', local: { target: NaN } }, 'off null@7 Bet / Cash-out from 1.01× on'],
    ['a target that pays everything back', { phase: 'betting', local: { target: 100 } }, 'off null@7 Bet / Cash-out from 1.01× on'],
    ['the highest target', { phase: 'betting', local: { target: 100000 } }, 'bet bet@7 Bet / 10.00'],
    ['a target above the cap', { phase: 'betting', local: { target: 100001 } }, 'off null@7 Bet / Cash-out up to 1,000.00×'],
    ['too much', { phase: 'betting', local: { stake: 100100 } }, 'off null@7 Bet / At most 1,000.00'],
  ])) {
    equal(why, button(given), want);
  }
});

test('stakes that people type', () => {
  for (const [typed, want] of /** @type {[string, number][]} */ ([
    ['10', 1000], [' 10 ', 1000], ['10.', 1000], ['10.0', 1000], ['10.00', 1000], ['1,000', 100000], ['1,234,567', 123456700], ['0', 0],
    ['10.5', NaN], ['-1', NaN], ['1e3', NaN], ['', NaN], ['0x10', NaN], ['ten', NaN], ['1 000', NaN],
  ])) {
    equal(typed, parseCredits(typed), want);
  }
});

test('multipliers that people type', () => {
  for (const [typed, want] of /** @type {[string, number][]} */ ([
    ['2', 200], ['2.5', 250], ['2,5', 250], ['1.01', 101], ['1.1x', 110], ['10 ×', 1000], ['0.5', 50],
    ['1.015', NaN], ['', NaN], ['x', NaN], ['-2', NaN], ['1e2', NaN],
  ])) {
    equal(typed, parseTimes(typed), want);
  }
});

test('numbers that people read', () => {
  equal('money', money(123456789), '1,234,567.89');
  equal('a loss', money(-604), '−6.04');
  equal('short', [shortMoney(99_999_900), shortMoney(1_234_567_800)], ['999,999.00', '12.3M']);
  equal('times', times(100000), '1,000.00×');
  equal('heights', [100, 119, 120, 199, 200, 500, 1000].map(height), ['low', 'low', 'small', 'small', 'mid', 'high', 'huge']);
});

test('refusals in plain words', () => {
  equal('known', words({ code: 'too_late', message: 'x' }), 'Too late: the round had crashed.');
  equal('unknown', words({ code: 'brand_new', message: 'The server says so.' }), 'The server says so.');
  equal('nothing', words({}), 'Something went wrong.');
});
