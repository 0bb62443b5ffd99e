// @ts-check
// The few words in which the tests of the modules are written. A test module
// calls `test` for each case and exports nothing; the Go test imports it and then
// calls `results`.

/** @type {{name: string, fn: () => void | Promise<void>}[]} */
const cases = [];

/**
 * @param {string} name
 * @param {() => void | Promise<void>} fn
 */
export function test(name, fn) {
  cases.push({ name, fn });
}

/**
 * Runs the cases, one after the other.
 * @returns {Promise<{name: string, error: string}[]>} error is empty if the case passed
 */
export async function results() {
  const out = [];
  for (const { name, fn } of cases) {
    let error = '';
    try {
      await fn();
    } catch (err) {
      error = String(/** @type {any} */ (err)?.stack ?? err);
    }
    out.push({ name, error });
  }
  return out;
}

/**
 * @param {string} why
 * @param {unknown} got
 * @param {unknown} want
 */
export function equal(why, got, want) {
  const g = show(got);
  const w = show(want);
  if (g !== w) throw new Error(`${why}: got ${g}, want ${w}`);
}

/**
 * @param {string} why
 * @param {boolean} ok
 */
export function check(why, ok) {
  if (!ok) throw new Error(why);
}

/** @param {unknown} v */
function show(v) {
  return JSON.stringify(v, (_k, x) => (typeof x === 'bigint' ? x + 'n' : Number.isNaN(x) ? 'NaN' : x));
}
