// The table of Services, which the search and the buttons above it narrow down.
import { by, h, setText, sync } from './dom.js';
import { marks } from './words.js';

const most = 300; // rows; a page with more is neither read nor fast
const filters = [['', 'All'], ['trouble', 'In trouble'], ['warning', 'Waiting'], ['ok', 'Announced']];
const says = { ok: 'announced', warning: 'waiting', trouble: 'trouble' };

export function startFilters(chosen) {
  by('filters').append(...filters.map(([state, words]) => h('button', { type: 'button', 'aria-pressed': String(state === ''), 'data-filter': state, click: (event) => {
    for (const other of by('filters').children) other.setAttribute('aria-pressed', String(other === event.currentTarget));
    chosen(state);
  } }, words)));
}

export function showServices(overview, { query, filter, selected }, open) {
  for (const button of by('filters').children) {
    const state = button.dataset.filter, n = overview.services.filter((s) => !state || s.state === state).length;
    setText(button, `${filters.find(([name]) => name === state)[1]} ${n}`);
  }
  const found = overview.services.filter((service) => (!filter || service.state === filter) && matches(service, query));
  sync(by('services'), found.slice(0, most), (service) => service.name, (service) => makeRow(service, open));
  for (const row of by('services').children) row.classList.toggle('lit', row.shownKey === selected);
  setText(by('more'), found.length > most ? `${found.length - most} more: the search narrows them down.` : found.length === 0 ? 'No Service is like that.' : '');
  return found;
}

// matches says whether every word of the query is in what is shown of a Service.
export function matches(service, query) {
  const text = [service.name, service.words, ...service.addresses.flatMap((a) => [a.ip, a.pool, ...a.nodes])].join(' ').toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function makeRow(service, open) {
  const pools = [...new Set(service.addresses.map((a) => a.pool).filter(Boolean))];
  const nodes = [...new Set(service.addresses.flatMap((a) => a.nodes))];
  return h('tr', { click: () => open(service.name) },
    h('td', {}, h('span', { class: 'badge', 'data-state': service.state }, marks[service.state], ' ', says[service.state])),
    h('td', { class: 'name' }, h('button', { type: 'button', 'data-focus': service.name, title: service.name }, service.name)),
    h('td', { class: 'address mono' }, service.addresses.map((a, i) => [i > 0 && h('br'), a.ip])),
    h('td', { class: 'from' }, pools.join(', ')),
    h('td', { class: 'by' }, nodes.length > 4 ? `${nodes.length} nodes` : nodes.join(', ')),
    h('td', { class: 'why' }, h('span', {}, service.words)));
}
