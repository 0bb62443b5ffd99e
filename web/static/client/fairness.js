// @ts-check
// The proof of a crash round: what docs/protocol.md calls "Checking a round".
// Everything is integers; floating point is wrong at some boundaries.

import { fromHex, hmac, sha256Sync, toHex } from './hash.js';

const TWO52 = 1n << 52n;

/**
 * The crash point that the draw r stands for.
 * @param {bigint} r 0 ≤ r < 2^52
 * @param {number} rtpBp return to player in basis points (9900 is 99 %)
 * @param {number} cap highest crash point in hundredths
 * @returns {number} crash point in hundredths, from 100 to cap
 */
export function crashPointOf(r, rtpBp, cap) {
  if (r < 0n || r >= TWO52) throw new RangeError('r is not a 52 bit number');
  const centi = (BigInt(rtpBp) * TWO52) / (100n * (TWO52 - r));
  if (centi < 100n) return 100;
  if (centi > BigInt(cap)) return cap;
  return Number(centi);
}

/**
 * The draw of a round: the first 52 bits of HMAC-SHA256(salt, seed).
 * @param {string} seed hexadecimal
 * @param {string} salt ASCII text, used as it stands
 * @returns {Promise<bigint>}
 */
export async function drawOf(seed, salt) {
  const mac = await hmac(new TextEncoder().encode(salt), fromHex(seed));
  return BigInt('0x' + toHex(mac).slice(0, 13));
}

/**
 * Recomputes the crash point of a round.
 * @param {{seed: string, salt: string, rtpBp: number, cap: number}} round
 * @returns {Promise<{r: bigint, centi: number}>}
 */
export async function crashPoint(round) {
  const r = await drawOf(round.seed, round.salt);
  return { r, centi: crashPointOf(r, round.rtpBp, round.cap) };
}

/** How many hashes are made between two breaths of the page: about 4 ms. */
const SLICE = 1000;

/**
 * Hashes a seed `steps` times. From the seed of a chain's round n, n steps lead
 * to the commitment that was published before the chain's first round.
 * @param {string} seed hexadecimal
 * @param {number} steps
 * @param {(done: number) => void} [progress]
 * @returns {Promise<string>} hexadecimal
 */
export async function walkChain(seed, steps, progress) {
  let b = fromHex(seed);
  for (let i = 0; i < steps; i++) {
    b = sha256Sync(b);
    if (i % SLICE === SLICE - 1) {
      progress?.(i + 1);
      await new Promise((resume) => setTimeout(resume, 0));
    }
  }
  return toHex(b);
}
