// @ts-check

const two = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/**
 * An amount of money: 100 minor units are 1.00.
 * @param {number} minor
 */
export function money(minor) {
  return two.format(minor / 100).replace('-', '−');
}

/**
 * An amount where there is little room: 1,234.50 stays, 1,234,567.00 is 1.2M.
 * @param {number} minor
 */
export function shortMoney(minor) {
  return Math.abs(minor) < 100_000_000 ? money(minor) : short.format(minor / 100);
}

/**
 * A multiplier in hundredths: 187 is 1.87x.
 * @param {number} centi
 */
export function times(centi) {
  return two.format(centi / 100) + '×';
}

/** @param {number} n */
export function count(n) {
  return whole.format(n);
}

/**
 * @param {number} unixMs
 */
export function clock(unixMs) {
  return new Date(unixMs).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
}

/**
 * @param {number} unixMs
 */
export function moment(unixMs) {
  return new Date(unixMs).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
}

/**
 * How high a crash point is, for its colour.
 * @param {number} centi
 */
export function height(centi) {
  if (centi < 120) return 'low';
  if (centi < 200) return 'small';
  if (centi < 500) return 'mid';
  if (centi < 1000) return 'high';
  return 'huge';
}

/**
 * Whole credits that somebody typed, as minor units; NaN if it is no such number.
 * @param {string} s
 */
export function parseCredits(s) {
  const m = /^\s*(\d{1,3}(?:,?\d{3})*|\d+)(?:\.0{0,2})?\s*$/.exec(s);
  return m ? Number(m[1].replaceAll(',', '')) * 100 : NaN;
}

/**
 * A multiplier that somebody typed, in hundredths; NaN if it is none.
 * @param {string} s
 */
export function parseTimes(s) {
  const m = /^\s*(\d{1,6})(?:[.,](\d{0,2}))?\s*[x×]?\s*$/i.exec(s);
  return m ? Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0')) : NaN;
}
