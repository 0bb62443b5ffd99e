// @ts-check
import { table } from '/static/console/table.js';
import { fill, h } from '/static/ui/dom.js';
import { toast } from '/static/ui/toast.js';
import { check, equal, test } from './check.js';

test('states that are true are said in full', () => {
  const el = h('button', { 'aria-current': true, 'aria-pressed': false, hidden: true });
  equal('aria', el.getAttribute('aria-current'), 'true');
  equal('nothing', el.getAttribute('aria-pressed'), null);
  check('a property', el.hidden);
});

test('a table that is filled again keeps the focus', () => {
  const head = h('thead', null, h('tr', null, h('th', null, 'Room'), h('th', null, 'Players'), h('th', null, 'Actions')));
  fill(document.body, h('table', { id: 'rooms' }, head, h('tbody', null)));
  const show = (/** @type {[string, number, string][]} */ rows) =>
    table('rooms', rows.map(([room, n, act]) => [room, n, h('button', { dataset: { room } }, act)]), 'none');
  const focused = () => (document.activeElement?.textContent ?? '') + ' ' + document.activeElement?.tagName;
  const texts = () => [...document.querySelectorAll('#rooms tbody tr')].map((tr) => tr.textContent);

  show([]);
  equal('empty', texts(), ['none']);
  show([['a', 1, 'Pause'], ['b', 2, 'Pause']]);
  equal('rows', texts(), ['a1Pause', 'b2Pause']);
  const button = /** @type {HTMLElement} */ (document.querySelector('[data-room=b]'));
  button.focus();
  show([['a', 7, 'Pause'], ['b', 8, 'Pause']]);
  equal('other numbers', texts(), ['a7Pause', 'b8Pause']);
  check('the same button', document.activeElement === button);
  show([['a', 7, 'Pause'], ['b', 8, 'Start']]);
  equal('what took its place', focused(), 'Start BUTTON');
  show([['b', 8, 'Start']]);
  equal('a row less', texts(), ['b8Start']);
  equal('its own button', document.querySelector('#rooms button')?.getAttribute('data-room'), 'b');
});

test('a toast is not hidden by an open dialog', () => {
  const open = h('dialog', null, 'Settings');
  fill(document.body, open, h('div', { id: 'toasts' }));
  open.showModal();
  toast('Out of range', 'bad');
  check('said in the dialog', open.contains(document.getElementById('toasts')));
  open.close();
  toast('Saved', 'good');
  check('said on the page', !open.contains(document.getElementById('toasts')));
});
