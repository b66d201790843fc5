// The page: what is shown follows from the state of the cluster, and from what the user has chosen.
import { by, setText } from './dom.js';
import { follow } from './live.js';
import { showMoves } from './moves.js';
import { showNodes } from './nodes.js';
import { showPath, startPath } from './path.js';
import { lightPools, showPools, startPools } from './pools.js';
import { matches, showServices, startFilters } from './services.js';
import { showSessions } from './sessions.js';
import { showSummary } from './summary.js';
import { startTheme } from './theme.js';
import { counted } from './words.js';

const chosen = { query: '', filter: '', selected: '', node: '' };
let overview;

function show() {
  if (!overview) return;
  document.title = title();
  setText(by('cluster'), overview.cluster);
  by('cluster').title = overview.cluster;
  showSummary(overview, open);
  showPools(overview, open);
  showNodes(overview, open, (node) => { chosen.node = node; light(); });
  showSessions(overview);
  showMoves(overview, open);
  list();
  if (chosen.selected) showPath(chosen.selected);
}

function list() {
  const found = showServices(overview, chosen, open);
  setText(by('found'), chosen.query ? `${counted(found.length, 'Service')} found` : '');
  light();
}

function title() {
  const troubled = overview.services.filter((service) => service.state === 'trouble').length;
  return `${troubled > 0 ? `(${troubled}) ` : ''}Clarion ${overview.cluster}`;
}

// light marks in the pools what is looked at: the selected Service, else what a node carries, else
// what the search has found.
function light() {
  const services = overview.services.filter((service) => (chosen.selected ? service.name === chosen.selected : chosen.query && matches(service, chosen.query)));
  lightPools(new Set(services.flatMap((service) => service.addresses.map((a) => a.ip))), chosen.selected ? '' : chosen.node);
}

// The selected Service is in the address of the page, so that "back" closes it and a reload shows it
// again.
function open(service) {
  location.hash = `service=${encodeURIComponent(service)}`;
}

function followHash() {
  const name = new URLSearchParams(location.hash.slice(1)).get('service') ?? '';
  if (name === chosen.selected) return;
  chosen.selected = name;
  if (!name) by('path').close();
  show();
}

function tell(state, why) {
  by('live').dataset.state = state;
  setText(by('live-words'), { live: 'live', stale: 'stale', lost: 'not connected' }[state]);
  by('stale').hidden = state === 'live';
  if (state !== 'live') setText(by('stale'), `What is shown may be out of date: ${why}.`);
}

startTheme();
startPools();
startFilters((filter) => { chosen.filter = filter; if (overview) list(); });
startPath(() => { if (chosen.selected) history.pushState(null, '', location.pathname); chosen.selected = ''; if (overview) list(); });
by('query').addEventListener('input', (event) => { chosen.query = event.target.value.trim(); if (overview) list(); });
// A form is submitted at the end of a press of Enter. After its beginning the panel would open, and the rest of it press the button
// there that closes it.
by('find').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!chosen.query || !overview) return;
  const found = overview.services.filter((service) => matches(service, chosen.query));
  const exact = found.find((service) => service.addresses.some((a) => a.ip === chosen.query) || service.name.split('/')[1] === chosen.query);
  if (exact || found.length > 0) open((exact ?? found[0]).name);
});
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !typing && !by('path').open) {
    event.preventDefault();
    by('query').focus();
    by('query').select();
  }
});
window.addEventListener('hashchange', followHash);
followHash();
follow((latest) => { overview = latest; show(); }, tell);
