// @ts-check
// The operator API with the key of this tab.

const KEY = 'tickcast.operator-key';
const NAME = 'tickcast.operator-name';

/** A refusal of the operator API. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 if nothing answered
   * @param {{code?: string, message?: string}} e
   */
  constructor(status, e) {
    super(e.message || e.code || 'the server answered ' + status);
    this.status = status;
    // The message of this one names the action, whose end nobody knows yet; no other words say as much.
    this.code = e.code === 'unavailable' ? '' : (e.code ?? '');
  }
}

/** The key lives in this tab's session storage only: never in a cookie, never beyond the tab. */
export const credentials = {
  get key() {
    return sessionStorage.getItem(KEY) ?? '';
  },
  get name() {
    return sessionStorage.getItem(NAME) ?? '';
  },
  /**
   * @param {string} key
   * @param {string} name
   */
  set(key, name) {
    sessionStorage.setItem(KEY, key);
    sessionStorage.setItem(NAME, name);
  },
  clear() {
    sessionStorage.removeItem(KEY);
  },
};

/**
 * Asks the operator API.
 * @param {string} method
 * @param {string} path below /api
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function api(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { Authorization: 'Bearer ' + credentials.key, 'X-Operator': credentials.name };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let r;
  try {
    r = await fetch('/api' + path, { method, headers, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, { message: 'The server cannot be reached.' });
  }
  const answer = await r.json().catch(() => ({}));
  if (!r.ok || answer.error) throw new ApiError(r.status, answer.error ?? {});
  return answer;
}
