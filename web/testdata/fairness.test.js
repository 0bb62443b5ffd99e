// @ts-check
import { crashPoint, crashPointOf, drawOf, walkChain } from '/static/client/crash.js';
import { hmac, hmacSync, sha256, sha256Sync, toHex, fromHex } from '/static/client/hash.js';
import { check, equal, test } from './check.js';

const vectors = await (await fetch('./crash.json')).json();
const CAP = 1_000_000_000;

/** Runs fn as on a page that is served over plain http: without crypto.subtle. */
async function withoutSubtle(fn) {
  const own = Object.getOwnPropertyDescriptor(Crypto.prototype, 'subtle');
  Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined, configurable: true });
  try {
    await fn();
  } finally {
    Object.defineProperty(Crypto.prototype, 'subtle', /** @type {any} */ (own));
  }
}

async function everyVector() {
  for (const name of ['v2_ascii_chain', 'v2_bytes_chain', 'own_chain']) {
    const { salt, cases } = vectors[name];
    for (const c of cases) {
      equal(`${name} ${c.game}: r`, await drawOf(c.hash, salt), BigInt(c.r));
      for (const [field, rtpBp] of [['centi', 9900], ['rtp9900', 9900], ['rtp9700', 9700]]) {
        if (c[field] === undefined) continue;
        const got = await crashPoint({ seed: c.hash, salt, rtpBp: Number(rtpBp), cap: CAP });
        equal(`${name} ${c.game}: ${field}`, got.centi, c[field]);
      }
    }
  }
}

test('published vectors, with WebCrypto', async () => {
  check('this page has crypto.subtle', !!crypto.subtle);
  await everyVector();
});

test('published vectors, without WebCrypto', () => withoutSubtle(everyVector));

test('boundaries in integers', () => {
  for (const c of vectors.exact.cases) {
    equal('r ' + c.r + ' at 9900', crashPointOf(BigInt(c.r), 9900, vectors.exact.cap), c.rtp9900);
    equal('r ' + c.r + ' at 9700', crashPointOf(BigInt(c.r), 9700, vectors.exact.cap), c.rtp9700);
  }
});

test('cap and floor', () => {
  equal('floor', crashPointOf(0n, 9900, 100000), 100);
  equal('cap', crashPointOf((1n << 52n) - 1n, 9900, 100000), 100000);
  let refused = false;
  try {
    crashPointOf(1n << 52n, 9900, 100000);
  } catch {
    refused = true;
  }
  check('r of 53 bits is refused', refused);
});

test('chains', async () => {
  const own = vectors.own_chain;
  for (const c of own.cases) {
    equal('round ' + c.game + ' leads to the commitment', await walkChain(c.hash, c.game), own.terminal);
  }
  const [newest, before] = vectors.v2_bytes_chain.cases;
  equal('one step', await walkChain(newest.hash, 1), before.hash);
  check('a changed seed does not', (await walkChain(own.cases[0].hash.replace(/^./, '0'), 1)) !== own.terminal);
});

test('a long chain reports progress', async () => {
  const seen = [];
  const end = await walkChain('00'.repeat(32), 2500, (n) => seen.push(n));
  equal('progress', seen, [1000, 2000]);
  equal('length', end.length, 64);
});

test('own SHA-256 and HMAC equal those of the browser', async () => {
  for (let n = 0; n < 200; n++) {
    const data = crypto.getRandomValues(new Uint8Array(n));
    const key = crypto.getRandomValues(new Uint8Array((n * 7) % 150));
    equal('sha256 of ' + n, toHex(sha256Sync(data)), toHex(await sha256(data)));
    equal('hmac of ' + n, toHex(hmacSync(key, data)), toHex(await hmac(key, data)));
  }
  await withoutSubtle(async () => {
    equal('fallback', toHex(await sha256(new TextEncoder().encode('abc'))), toHex(sha256Sync(new TextEncoder().encode('abc'))));
  });
});

test('hexadecimal', () => {
  equal('round trip', toHex(fromHex('00ff7F')), '00ff7f');
  for (const bad of ['0', 'zz', '0x']) {
    let refused = false;
    try {
      fromHex(bad);
    } catch {
      refused = true;
    }
    check('refuses ' + bad, refused);
  }
});
