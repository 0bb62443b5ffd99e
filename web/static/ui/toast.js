// @ts-check
import { byId, h } from './dom.js';

/** Toasts that are shown at once; an older one makes room. */
const MOST = 3;

/**
 * Says something for a few seconds. The same words are not shown twice at a time.
 * @param {string} words
 * @param {'info' | 'good' | 'bad'} [kind]
 */
export function toast(words, kind = 'info') {
  const box = byId('toasts');
  // An open dialog covers the page: what concerns it is said in it.
  const host = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body;
  if (box.parentElement !== host) host.append(box);
  for (const t of [...box.children]) if (t.textContent === words) t.remove();
  const el = h('div', { class: 'toast ' + kind }, words);
  box.append(el);
  while (box.children.length > MOST) box.firstElementChild?.remove();
  setTimeout(() => el.remove(), kind === 'bad' ? 6000 : 3500);
}
