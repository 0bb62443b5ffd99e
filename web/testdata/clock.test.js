// @ts-check
import { FREEZE_MS, GameClock } from '/static/client/clock.js';
import { check, equal, test } from './check.js';

const TICK = 100;

/** A generator of random numbers that a failed test can be repeated with. */
function random(seed) {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

/**
 * Feeds ticks that were under way for delay() ms and calls see at 60 frames per
 * second. Game time is local time + 1,000,000 ms, but stands still in `freezes`.
 */
function run({ from = 0, to, delay, freezes = /** @type {number[][]} */ ([]), see, clock = new GameClock(), drift = 0 }) {
  const frozenBefore = (/** @type {number} */ at) =>
    freezes.reduce((sum, [a, b]) => sum + Math.max(0, Math.min(at, b) - a), 0);
  const game = (/** @type {number} */ at) => 1e6 + at * (1 + drift) - frozenBefore(at);
  /** @type {{at: number, t: number}[]} */
  const arrivals = [];
  let last = 0;
  for (let sent = from; sent < to; sent += TICK) {
    if (freezes.some(([a, b]) => sent > a && sent < b)) continue;
    last = Math.max(last, sent + delay(sent)); // one connection: in order
    arrivals.push({ at: last, t: game(sent) * 1000 });
  }
  for (let at = from; at < to; at += 1000 / 60) {
    while (arrivals.length && arrivals[0].at <= at) {
      const a = /** @type {{at: number, t: number}} */ (arrivals.shift());
      clock.sample(a.t, a.at);
    }
    see?.(at, clock.now(at) / 1000, game(at), clock);
  }
  return clock;
}

test('nothing is known before the first sample', () => {
  const clock = new GameClock();
  check('no time', Number.isNaN(clock.now(5)));
  check('frozen', clock.frozen(5));
});

test('follows the least delayed ticks', () => {
  const rnd = random(1);
  let worst = 0;
  run({
    to: 20000,
    delay: () => 20 + (rnd() < 0.3 ? 0 : rnd() * 100),
    see: (at, shown, truth) => {
      if (at < 4000) return;
      worst = Math.max(worst, Math.abs(truth - 20 - shown));
    },
  });
  check('off by ' + worst.toFixed(1) + ' ms', worst < 25);
});

test('never runs backwards, whatever the delays', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const rnd = random(seed);
    let before = -Infinity;
    run({
      to: 10000,
      delay: () => (rnd() < 0.1 ? 400 * rnd() : 50 * rnd()),
      freezes: [[3000, 3000 + 2000 * rnd()], [7000, 7150]],
      see: (at, shown) => {
        if (Number.isNaN(shown)) return;
        check(`seed ${seed} at ${at}: ${shown} after ${before}`, shown >= before);
        before = shown;
      },
    });
  }
});

test('stops 250 ms after the last tick', () => {
  const clock = run({ to: 3000, delay: () => 10 });
  const last = clock.lastSampleAt;
  const early = clock.now(last + 100);
  check('runs on at first', clock.now(last + 200) > early);
  check('not frozen yet', !clock.frozen(last + FREEZE_MS));
  const stopped = clock.now(last + FREEZE_MS);
  equal('stands still', clock.now(last + 5000), stopped);
  check('frozen', clock.frozen(last + FREEZE_MS + 1));
});

test('after a freeze it shows the frozen time, not the wall clock', () => {
  // The room stands still for 5 s: a clock on the wall would show 5 s too much.
  let worst = 0;
  run({
    to: 12000,
    delay: () => 15,
    freezes: [[4000, 9000]],
    see: (at, shown, truth) => {
      if (at > 4000 && !Number.isNaN(shown)) worst = Math.max(worst, shown - truth);
    },
  });
  check('ahead of the room by ' + worst.toFixed(1) + ' ms', worst <= FREEZE_MS + 1);
});

test('is never more than 250 ms ahead of the newest tick heard', () => {
  const rnd = random(7);
  run({
    to: 20000,
    delay: () => 200 * rnd(),
    see: (at, shown, _truth, clock) => {
      check(`at ${at}`, Number.isNaN(shown) || shown <= clock.newest + FREEZE_MS + 1e-6);
    },
  });
});

test('follows a clock that drifts', () => {
  let worst = 0;
  run({
    to: 120000,
    drift: 0.0005,
    delay: () => 20,
    see: (at, shown, truth) => {
      if (at > 5000) worst = Math.max(worst, Math.abs(truth - 20 - shown));
    },
  });
  check('off by ' + worst.toFixed(1) + ' ms', worst < 5);
});

test('a small error is worked off without a jump', () => {
  const clock = new GameClock();
  let at = 0;
  for (; at < 3000; at += TICK) clock.sample(at * 1000, at + 120); // 120 ms under way
  let before = clock.now(at + 20);
  for (let i = 0; i < 60; i++) {
    clock.sample(at * 1000, at + 20); // now only 20
    for (let f = 0; f < 6; f++) {
      const shown = clock.now(at + 20 + (f * TICK) / 6);
      check('frame of ' + (shown - before) / 1000 + ' ms', shown - before < 40000);
      before = shown;
    }
    at += TICK;
  }
  check('arrived', Math.abs(clock.now(at + 19) / 1000 - (at - 1)) < 2);
});

test('an older time says nothing', () => {
  const clock = new GameClock();
  clock.sample(5_000_000, 100);
  const shown = clock.now(110);
  clock.sample(1_000_000, 120);
  check('goes on', clock.now(130) >= shown);
  clock.reset();
  check('reset forgets', Number.isNaN(clock.now(140)));
  clock.sample(1_000_000, 150);
  equal('another log may start earlier', clock.now(150), 1_000_000);
});
