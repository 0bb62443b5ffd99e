// @ts-check
// SHA-256 and HMAC-SHA256. A browser offers them as crypto.subtle, but only on
// https and localhost; a page served over plain http in a home network must be
// able to check a round too. So there are both, and the tests compare them.

/** Round constants: the fractions of the cube roots of the first 64 primes. */
const K = roundConstants();

/** @returns {Uint32Array} */
function roundConstants() {
  const k = new Uint32Array(64);
  let n = 0;
  for (let candidate = 2; n < 64; candidate++) {
    if (!isPrime(candidate)) continue;
    k[n++] = fraction32(Math.cbrt(candidate));
  }
  return k;
}

/** @param {number} n */
function isPrime(n) {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

/**
 * The first 32 bits of the fraction of x, which a double holds exactly enough
 * for the roots of the first 64 primes.
 * @param {number} x
 */
function fraction32(x) {
  return ((x - Math.floor(x)) * 2 ** 32) >>> 0;
}

/**
 * SHA-256 without crypto.subtle, for places without it and for long chains,
 * where a promise per hash costs more than the hash.
 * @param {Uint8Array} data
 * @returns {Uint8Array}
 */
export function sha256Sync(data) {
  const h = new Uint32Array([
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  ]);
  const padded = pad(data);
  const view = new DataView(padded.buffer);
  const w = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
    block(h, w);
  }
  const out = new Uint8Array(32);
  const outView = new DataView(out.buffer);
  for (let i = 0; i < 8; i++) outView.setUint32(4 * i, h[i]);
  return out;
}

/**
 * Appends the padding of FIPS 180-4: a one bit, zeros, the length in bits.
 * @param {Uint8Array} data
 */
function pad(data) {
  const padded = new Uint8Array((((data.length + 8) >> 6) + 1) << 6);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor((data.length * 8) / 2 ** 32));
  view.setUint32(padded.length - 4, (data.length * 8) >>> 0);
  return padded;
}

/**
 * @param {number} x
 * @param {number} n
 */
function rotr(x, n) {
  return (x >>> n) | (x << (32 - n));
}

/**
 * One compression; h is the chaining value, w holds the block in its first 16.
 * @param {Uint32Array} h
 * @param {Uint32Array} w
 */
function block(h, w) {
  for (let i = 16; i < 64; i++) {
    const s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, last] = h;
  for (let i = 0; i < 64; i++) {
    const s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
    const t1 = (last + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    last = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  h[0] += a;
  h[1] += b;
  h[2] += c;
  h[3] += d;
  h[4] += e;
  h[5] += f;
  h[6] += g;
  h[7] += last;
}

/**
 * HMAC-SHA256 without crypto.subtle.
 * @param {Uint8Array} key
 * @param {Uint8Array} message
 * @returns {Uint8Array}
 */
export function hmacSync(key, message) {
  const k = new Uint8Array(64);
  k.set(key.length > 64 ? sha256Sync(key) : key);
  const inner = sha256Sync(concat(k.map((x) => x ^ 0x36), message));
  return sha256Sync(concat(k.map((x) => x ^ 0x5c), inner));
}

/**
 * HMAC-SHA256, by crypto.subtle where there is one.
 * @param {Uint8Array} key
 * @param {Uint8Array} message
 * @returns {Promise<Uint8Array>}
 */
export async function hmac(key, message) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle || key.length === 0) return hmacSync(key, message);
  const k = await subtle.importKey('raw', plain(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await subtle.sign('HMAC', k, plain(message)));
}

/**
 * SHA-256, by crypto.subtle where there is one.
 * @param {Uint8Array} data
 * @returns {Promise<Uint8Array>}
 */
export async function sha256(data) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return sha256Sync(data);
  return new Uint8Array(await subtle.digest('SHA-256', plain(data)));
}

/**
 * A copy with a buffer of its own, which is what crypto.subtle takes.
 * @param {Uint8Array} b
 * @returns {Uint8Array<ArrayBuffer>}
 */
function plain(b) {
  return new Uint8Array(b);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function concat(a, b) {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/**
 * @param {string} s hexadecimal text, two digits a byte
 * @returns {Uint8Array}
 */
export function fromHex(s) {
  if (s.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(s)) throw new Error('not hexadecimal: ' + s);
  const out = new Uint8Array(s.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(s.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/**
 * @param {Uint8Array} b
 * @returns {string} lower case
 */
export function toHex(b) {
  let s = '';
  for (const x of b) s += x.toString(16).padStart(2, '0');
  return s;
}
