// @ts-check
import { Order } from '/static/client/order.js';
import { Backoff, shouldReconnect } from '/static/client/backoff.js';
import { uuid } from '/static/client/tickcast.js';
import { check, equal, test } from './check.js';

test('P3.3 each update is one behind the last', () => {
  const o = new Order();
  o.start('lobby', { log: 'a', seq: 41 });
  equal('next', o.check('lobby', 42), 'next');
  equal('doubled', o.check('lobby', 42), 'old');
  equal('older', o.check('lobby', 7), 'old');
  equal('next', o.check('lobby', 43), 'next');
  equal('gap', o.check('lobby', 45), 'gap');
  equal('the gap stays', o.check('lobby', 46), 'gap');
});

test('rooms are apart', () => {
  const o = new Order();
  o.start('a', { log: 'x', seq: 0 });
  o.start('b', { log: 'y', seq: 10 });
  equal('a', o.check('a', 1), 'next');
  equal('b', o.check('b', 11), 'next');
  equal('not joined', o.check('c', 1), 'foreign');
  o.stop('a');
  equal('left', o.check('a', 2), 'foreign');
  equal('log', o.log('b'), 'y');
});

test('a snapshot starts again', () => {
  const o = new Order();
  o.start('a', { log: 'x', seq: 5 });
  o.start('a', { log: 'x', seq: 90 });
  equal('behind the snapshot', o.check('a', 91), 'next');
  equal('no way back', o.start('a', { log: 'x', seq: 91 }), false);
  equal('back', o.start('a', { log: 'x', seq: 90 }), true);
  equal('another log', o.start('a', { log: 'y', seq: 3 }), false);
  equal('nothing before', o.start('b', { log: 'x', seq: 3 }), false);
});

test('P6.6 the bound doubles from 1 s to 20 s', () => {
  const most = new Backoff(() => 1);
  equal('upper', [1, 2, 3, 4, 5, 6, 7].map(() => most.next()), [1000, 2000, 4000, 8000, 16000, 20000, 20000]);
  const least = new Backoff(() => 0);
  equal('lower', [1, 2, 3].map(() => least.next()), [500, 500, 500]);
  most.reset();
  equal('after a stable connection', most.next(), 1000);
});

test('P6.5 the range of a close code is the advice', () => {
  const yes = [1001, 1006, 1012, 1013, 3000, 3001, 3005, 3008, 3010, 3012, 3013, 3499, 4000, 4100, 4101, 4499];
  const no = [1000, 1003, 1007, 1009, 3500, 3501, 3502, 3503, 3504, 3507, 3999, 4500, 4999];
  equal('reconnect', yes.filter(shouldReconnect), yes);
  equal('stay away', no.filter(shouldReconnect), []);
});

test('keys are UUIDs', () => {
  const seen = new Set();
  for (let i = 0; i < 1000; i++) {
    const u = uuid();
    check(u, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(u));
    seen.add(u);
  }
  equal('all different', seen.size, 1000);
});
