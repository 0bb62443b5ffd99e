// @ts-check
// Who plays in this browser: a token in local storage, a guest's if there is none.

const KEY = 'tickcast.token';

/** A refusal of a sign-in. */
export class SignInError extends Error {
  /** @param {{code?: string, message?: string}} e */
  constructor(e) {
    super(e.message || 'sign-in was refused');
    this.code = e.code;
  }
}

/**
 * The token of this browser; empty if there is none yet.
 * @returns {string}
 */
export function storedToken() {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} token */
export function storeToken(token) {
  try {
    if (token) localStorage.setItem(KEY, token);
    else localStorage.removeItem(KEY);
  } catch {
    // Without storage the guest lives as long as the page.
  }
}

/**
 * Asks for a guest's token. A guest who shows the token that he has keeps his
 * identity where the server allows that, and gets another name.
 * @param {string} name empty: the server chooses one
 * @param {string} token empty: somebody new
 * @returns {Promise<{token: string, player: import('../client/messages.js').Player}>}
 */
export async function signIn(name, token) {
  const headers = /** @type {Record<string, string>} */ ({ 'Content-Type': 'application/json' });
  if (token) headers.Authorization = 'Bearer ' + token;
  return ask('/api/guest', headers, name ? { name } : {});
}

/**
 * Signs in whom the operator's own wallet knows (P9.7).
 * @param {string} token of the operator's site
 * @returns {Promise<{token: string, player: import('../client/messages.js').Player}>}
 */
export function logIn(token) {
  return ask('/api/login', { 'Content-Type': 'application/json' }, { token });
}

/**
 * The operator's token that this page was opened with, as #login=TOKEN or
 * #ROOM&login=TOKEN; empty without one. A fragment reaches no server and no log of one, and it is
 * taken out of the address here.
 * @returns {string}
 */
export function takeLaunchToken() {
  const parts = location.hash.slice(1).split('&');
  const found = parts.find((p) => p.startsWith('login='));
  if (!found) return '';
  const room = parts.find((p) => p !== found) ?? '';
  history.replaceState(null, '', location.pathname + location.search + (room && '#' + room));
  try {
    return decodeURIComponent(found.slice('login='.length));
  } catch {
    return '';
  }
}

/**
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {object} body
 */
async function ask(path, headers, body) {
  const r = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await r.json().catch(() => ({}));
  if (!r.ok || !answer.token) throw new SignInError(answer.error ?? {});
  return answer;
}
