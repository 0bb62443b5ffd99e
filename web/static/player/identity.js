// @ts-check
// Who plays in this browser: a token in local storage, a guest's if there is none.

const KEY = 'tickcast.token';

/** A refusal of the guest desk. */
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
  const r = await fetch('/api/guest', { method: 'POST', headers, body: JSON.stringify(name ? { name } : {}) });
  const answer = await r.json().catch(() => ({}));
  if (!r.ok || !answer.token) throw new SignInError(answer.error ?? {});
  return answer;
}
