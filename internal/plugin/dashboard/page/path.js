// The path of one Service, link by link, in a panel.
import { by, h } from './dom.js';
import { path } from './live.js';
import { marks } from './words.js';

const told = { ok: 'holds', warning: 'holds, with a warning', trouble: 'is broken', none: 'note' };
const says = { ok: 'well', trouble: 'broken' };
let asking; // what ends the question that is on its way
let shown = ''; // the Service
let text = ''; // what is shown of it

export function startPath(closed) {
  const dialog = by('path');
  dialog.addEventListener('close', () => {
    shown = '';
    asking?.abort();
    closed();
  });
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
}

// showPath opens the panel, or brings it up to date.
export async function showPath(service) {
  const dialog = by('path');
  if (!dialog.open) dialog.showModal();
  if (shown !== service) {
    shown = service;
    text = '';
    fill(service, null, h('p', { class: 'empty' }, 'Asking …'));
  }
  asking?.abort();
  asking = new AbortController();
  try {
    const found = await path(service, asking.signal);
    if (shown !== service || text === JSON.stringify(found)) return;
    text = JSON.stringify(found);
    if (found) fill(service, found, chain(found));
    else fill(service, null, h('p', { class: 'empty' }, 'There is no such Service any more.'));
  } catch (error) {
    if (error.name !== 'AbortError' && shown === service) fill(service, null, h('p', { class: 'empty' }, String(error.message)));
  }
}

function fill(service, found, content) {
  const dialog = by('path'), top = dialog.scrollTop, focused = dialog.contains(document.activeElement);
  dialog.replaceChildren(
    h('header', {},
      h('h2', { id: 'path-title' }, service),
      h('button', { type: 'button', class: 'close', 'aria-label': 'Close', click: () => dialog.close() }, '×'),
      found && h('p', { class: 'verdict' }, h('span', { class: 'badge', 'data-state': found.state }, marks[found.state], ' ', says[found.state]), ' ', h('span', { class: 'soft' }, found.words))),
    content);
  dialog.scrollTop = top;
  if (focused) dialog.querySelector('.close').focus({ preventScroll: true });
}

function chain(found) {
  return h('ol', { class: 'chain' }, found.links.map((link) => h('li', { 'data-state': link.state },
    h('span', { class: 'mark', 'aria-hidden': 'true' }, marks[link.state]),
    h('div', {},
      h('h3', {}, link.name, h('span', { class: 'hidden' }, `: ${told[link.state]}`)),
      link.words && h('p', {}, link.words),
      link.fix && h('p', { class: 'fix' }, link.fix),
      link.details.length > 0 && h('ul', { class: 'details' }, link.details.map((detail) => h('li', { 'data-state': detail.state },
        h('span', { class: 'mark2', 'aria-hidden': 'true' }, marks[detail.state]), h('span', {}, h('strong', {}, detail.name), ' ', detail.words, detail.fix && h('p', { class: 'fix' }, detail.fix)))))))));
}
