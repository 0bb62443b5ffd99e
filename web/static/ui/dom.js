// @ts-check

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Makes an element. Text goes in as text, never as markup: names and chat lines
 * are other people's.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} props class, dataset, on… listeners, aria-… and other attributes, or properties
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') el.className = value;
    else if (name === 'dataset') Object.assign(el.dataset, value);
    else if (name.startsWith('on')) el.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name in el && !name.includes('-') && name !== 'list' && name !== 'role') /** @type {any} */ (el)[name] = value;
    else el.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
  }
  append(el, children);
  return el;
}

/**
 * @param {Element} el
 * @param {(Child | Child[])[]} children
 */
function append(el, children) {
  for (const c of children.flat()) {
    if (c === null || c === undefined || c === false) continue;
    el.append(c instanceof Node ? c : String(c));
  }
}

/**
 * Replaces what is in an element.
 * @param {Element} el
 * @param {...(Child | Child[])} children
 */
export function fill(el, ...children) {
  el.replaceChildren();
  append(el, children);
}

/**
 * The element of the page with an ID, which must be there.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const el = document.getElementById(id);
  if (!el) throw new Error('no element #' + id);
  return el;
}

/**
 * @param {string} id
 * @returns {HTMLButtonElement}
 */
export function button(id) {
  return /** @type {HTMLButtonElement} */ (byId(id));
}

/**
 * @param {string} id
 * @returns {HTMLInputElement}
 */
export function input(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/**
 * @param {string} id
 * @returns {HTMLDialogElement}
 */
export function dialog(id) {
  return /** @type {HTMLDialogElement} */ (byId(id));
}

/**
 * Sets the text of an element if it is another: 60 times a second that is worth asking.
 * @param {Element} el
 * @param {string} s
 */
export function text(el, s) {
  if (el.textContent !== s) el.textContent = s;
}

/**
 * Lets a click on the backdrop close a dialog.
 * @param {HTMLDialogElement} d
 */
export function closeOnBackdrop(d) {
  d.addEventListener('click', (ev) => {
    if (ev.target !== d) return;
    const r = d.getBoundingClientRect();
    const inside = ev.clientX >= r.left && ev.clientX <= r.right && ev.clientY >= r.top && ev.clientY <= r.bottom;
    if (!inside) d.close();
  });
}

/**
 * Makes a tab list of its buttons: each names its panel in aria-controls.
 * @param {HTMLElement} list
 * @param {(id: string) => void} [chosen]
 */
export function tabs(list, chosen) {
  const all = /** @type {HTMLButtonElement[]} */ ([...list.querySelectorAll('[role=tab]')]);
  const select = (/** @type {HTMLButtonElement} */ tab) => {
    for (const t of all) {
      const on = t === tab;
      t.setAttribute('aria-selected', String(on));
      t.tabIndex = on ? 0 : -1;
      byId(t.getAttribute('aria-controls') ?? '').hidden = !on;
    }
    chosen?.(tab.id);
  };
  for (const t of all) t.addEventListener('click', () => select(t));
  list.addEventListener('keydown', (ev) => {
    const step = ev.key === 'ArrowRight' ? 1 : ev.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    const shown = all.filter((t) => !t.hidden && t.offsetParent);
    const at = shown.findIndex((t) => t === document.activeElement);
    const next = shown[(at + step + shown.length) % shown.length];
    next.focus();
    select(next);
    ev.preventDefault();
  });
  return { select: (/** @type {string} */ id) => select(button(id)) };
}
