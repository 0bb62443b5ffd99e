// @ts-check
import * as crash from '/static/client/crash.js';
import * as race from '/static/client/race.js';
import { check, equal, test } from './check.js';

const recorded = await (await fetch('./recorded.json')).json();

/** Freezes everything below v, so that a reducer that changes its argument throws. */
function frozen(v) {
  if (v && typeof v === 'object') {
    Object.values(v).forEach(frozen);
    Object.freeze(v);
  }
  return v;
}

/** Applies recorded updates to a snapshot and compares with what the server's own view was behind them. */
function replay(game, module) {
  const { snapshot, steps } = recorded[game];
  let s = frozen(module.open(snapshot, null));
  for (const step of steps) {
    for (const ev of step.events) s = frozen(module.reduce(s, ev, 'nobody'));
    if (!step.view) continue;
    const want = module.open(step.view, null);
    for (const field of Object.keys(want)) {
      if (field === 'outs' || field === 'own' || field === 'points') continue;
      if (field === 'start' && want.phase === 'idle') continue; // P7.8 does not tell it, and nothing is drawn from it
      equal(`${step.why}: ${field}`, s[field], want[field]);
    }
  }
  return s;
}

test('crash: a recorded sequence leads to the recorded views', () => {
  replay('crash', crash);
});

test('race: a recorded sequence leads to the recorded views', () => {
  replay('race', race);
});

const settings = { version: 1, rtp_bp: 9900, cap: 100000, tick_ms: 100 };

/** A flying round 7 in which the player has the bets given. */
function flying(bets) {
  const view = { phase: 'flying', round: 7, start: 0, settings, fairness: {}, bets: { top: [] }, history: [] };
  return frozen(crash.open(view, { bets }));
}

const crashedAt = (centi) => ({ e: 'phase', phase: 'crashed', round: 7, start: 1, end: 2, centi, seed: 'aa', index: 7, chain: 0 });

test('crash: own bets are settled at the crash even if the notice was lost', () => {
  const s = crash.reduce(
    flying([
      { round: 7, slot: 0, stake: 1000, auto: 250, state: 'open' },
      { round: 7, slot: 1, stake: 1000, state: 'open' },
      { round: 8, slot: 0, stake: 500, state: 'open' },
    ]),
    crashedAt(250),
  );
  equal('a target equal to the crash point pays', s.own[0], { round: 7, slot: 0, stake: 1000, auto: 250, state: 'won', centi: 250, payout: 2500 });
  equal('no target, no cash-out', s.own[1].state, 'lost');
  equal('the next round is not touched', s.own[2].state, 'open');
});

test('crash: a target above the crash point is lost', () => {
  const s = crash.reduce(flying([{ round: 7, slot: 0, stake: 1000, auto: 251, state: 'open' }]), crashedAt(250));
  equal('lost', s.own[0].state, 'lost');
});

test('crash: cash-outs by answer, notice and list are the same once', () => {
  const s = flying([{ round: 7, slot: 0, stake: 1000, state: 'open' }]);
  const byAnswer = crash.cashedOut(s, { slot: 0, round: 7, centi: 187, payout: 1870 });
  const byNotice = crash.notice(s, { e: 'out', slot: 0, round: 7, centi: 187, payout: 1870, auto: true });
  const byList = crash.reduce(s, { e: 'out', player: 'me', name: 'Me', slot: 0, centi: 187, payout: 1870, auto: false }, 'me');
  equal('notice', byNotice.own, byAnswer.own);
  equal('list', byList.own, byAnswer.own);
  equal('a crash does not take it back', crash.reduce(byAnswer, crashedAt(200)).own, byAnswer.own);
});

test('crash: placing, cancelling, refunds', () => {
  let s = frozen(crash.betPlaced(flying([]), { bet: 'b1', slot: 0, stake: 1000, auto: 0, round: 8, balance: 1, version: 2 }));
  equal('placed', crash.ownBet(s, 0, 8)?.state, 'open');
  equal('once', crash.betPlaced(s, { bet: 'b1', slot: 0, stake: 1000, round: 8 }).own.length, 1);
  s = frozen(crash.betReturned(s, { slot: 0, round: 8 }));
  equal('cancelled: the slot is free', crash.ownBet(s, 0, 8), undefined);
  s = frozen(crash.betPlaced(s, { bet: 'b2', slot: 0, stake: 2000, round: 8 }));
  equal('again', crash.ownBet(s, 0, 8)?.stake, 2000);
  const late = crash.betPlaced(crash.cashedOut(s, { slot: 0, round: 8, centi: 150, payout: 3000 }), { bet: 'b2', slot: 0, stake: 2000, round: 8 });
  equal('a late answer does not reopen a bet', crash.ownBet(late, 0, 8)?.state, 'won');
});

test('crash: a bet of another window is one of the own', () => {
  const bet = { e: 'bet', player: 'me', name: 'Me', slot: 1, round: 7, stake: 2000, auto: 150 };
  let s = frozen(crash.reduce(flying([]), bet, 'me'));
  equal('placed', s.own, [{ round: 7, slot: 1, stake: 2000, auto: 150, state: 'open' }]);
  equal("somebody else's", crash.reduce(flying([]), bet, 'you').own, []);
  equal('known already', crash.reduce(s, bet, 'me').own.length, 1);
  equal('the answer comes later', crash.betPlaced(s, { bet: 'b1', slot: 1, stake: 2000, round: 7 }).own, s.own);
  equal('the answer came first', crash.reduce(crash.betPlaced(flying([]), { bet: 'b1', slot: 1, stake: 2000, round: 7 }), bet, 'me').own.length, 1);
  equal('a settled bet stays settled', crash.betPlaced(crash.cashedOut(s, { slot: 1, round: 7, centi: 150, payout: 3000 }), { bet: 'b1', slot: 1, stake: 2000, round: 7 }).own[0].state, 'won');
  s = frozen(crash.reduce(s, { e: 'unbet', player: 'me', slot: 1, round: 7 }, 'me'));
  equal('cancelled there', crash.ownBet(s, 1, 7), undefined);
  equal('and off the list', s.bets.top, []);
  equal('and placed again here', crash.betPlaced(s, { bet: 'b2', slot: 1, stake: 500, round: 7 }).own.map((b) => b.state), ['open']);
});

test('crash: the next chain is known from either side', () => {
  const view = { phase: 'flying', round: 7, start: 0, settings, bets: { top: [] }, history: [] };
  const next = { chain: 1, commitment: 'c', salt: 's', salt_source: 'server' };
  equal('from a snapshot', crash.open({ ...view, fairness: { chain: 0, next } }, null).nextChain, next);
  let s = frozen(crash.reduce(flying([]), { e: 'commit', chain: 1, commitment: 'c' }));
  s = frozen(crash.reduce(s, { e: 'salt', chain: 1, salt: 's', salt_source: 'server' }));
  equal('from events', s.nextChain, next);
});

test('crash: a voided round gives open bets back and keeps won ones', () => {
  const s = crash.reduce(
    flying([
      { round: 7, slot: 0, stake: 1000, state: 'won', centi: 150, payout: 1500 },
      { round: 7, slot: 1, stake: 1000, state: 'open' },
    ]),
    { e: 'void', round: 7, start: 1, end: 2, seed: 'aa', index: 7, chain: 0 },
  );
  equal('states', s.own.map((b) => b.state), ['won', 'refunded']);
  equal('history', s.history[0], { round: 7, centi: 0, seed: 'aa', chain: 0, index: 7, voided: true });
});

test('crash: the curve', () => {
  equal('start', crash.centiAt(0), 100);
  equal('before the start', crash.centiAt(-5e6), 100);
  for (const [centi, ms] of [[150, 6757.75], [200, 11552.45], [300, 18310.2], [500, 26824], [1000, 38376], [100000, 115129]]) {
    check(`${centi} at ${ms} ms`, Math.abs(crash.timeOf(centi) / 1000 - ms) < 0.5);
    equal('just before ' + centi, crash.centiAt(crash.timeOf(centi) - 2), centi - 1);
    equal('just after ' + centi, crash.centiAt(crash.timeOf(centi) + 2), centi);
  }
});

test('events that are not known change nothing', () => {
  const s = flying([]);
  equal('crash', crash.reduce(s, { e: 'confetti' }), s);
  const r = frozen(race.open({ phase: 'running', round: 1, start: 0 }, { points: 3, round: 1 }));
  equal('race', race.reduce(r, { e: 'confetti' }), r);
});

test('race: own points', () => {
  let s = frozen(race.open({ phase: 'running', round: 4, start: 0, history: [] }, { points: 12, round: 4 }));
  equal('from you', s.points, 12);
  s = frozen(race.tapped(s, 4, 15));
  equal('tapped', s.points, 15);
  equal('an overtaken answer does no harm', race.tapped(s, 4, 13).points, 15);
  equal('another round', race.tapped(s, 3, 99).points, 15);
  equal('a new round starts at zero', race.reduce(s, { e: 'phase', phase: 'gathering', round: 5, start: 1, end: 2 }).points, 0);
  equal('you of an older round', race.withYou(s, { points: 9, round: 3 }).points, 15);
  equal('taps on their way are not taken back', race.withYou(s, { points: 13, round: 4 }).points, 15);
  equal('taps of another window', race.withYou(s, { points: 20, round: 4 }).points, 20);
  equal('no tap was heard yet', race.withYou(s, null).points, 15);
});
