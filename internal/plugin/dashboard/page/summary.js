// The state at a glance, and what needs attention.
import { by, h, sync } from './dom.js';
import { counted, large, marks } from './words.js';

export function showSummary(overview, open) {
  sync(by('summary'), tiles(overview), (tile) => tile.what, (tile) => h('div', { class: 'tile', 'data-state': tile.state },
    h('p', { class: 'what' }, tile.what),
    h('p', { class: 'figure' }, tile.figure, ' ', h('small', {}, tile.rest))));
  sync(by('problems'), overview.problems, (problem) => problem.on + problem.words, (problem) => h('li', {},
    h('span', { class: 'badge', 'data-state': problem.state }, marks[problem.state], ' ', problem.kind),
    h('span', {},
      problem.kind === 'Service'
        ? h('button', { type: 'button', 'data-focus': problem.on, click: () => open(problem.on) }, problem.on)
        : h('strong', {}, problem.on),
      ' ', problem.words)));
}

function tiles(overview) {
  const services = tally(overview.services), nodes = tally(overview.nodes);
  const sessions = tally(overview.peers.flatMap((peer) => peer.sessions));
  const use = overview.pools.flatMap((pool) => pool.counts).reduce((sum, c) => {
    if (c.family === 'IPv4') { sum.assigned += c.assigned; sum.total += c.total; }
    sum.all += c.assigned;
    return sum;
  }, { assigned: 0, total: 0, all: 0 });
  const full = overview.pools.some((pool) => pool.state !== 'ok');
  const list = [
    { what: 'Services', figure: `${services.ok} / ${overview.services.length}`, rest: troubles(services, 'announced', 'waiting'), state: worst(services) },
    { what: 'Nodes', figure: `${nodes.ok} / ${overview.nodes.length}`, rest: troubles(nodes, 'announcing', 'set aside'), state: worst(nodes) },
    { what: 'Addresses', figure: use.total > 0 ? `${Math.round(100 * use.assigned / use.total)} %` : String(use.all),
      rest: use.total > 0 ? `of IPv4: ${large(use.assigned)} of ${large(use.total)}` : 'assigned', state: full ? 'warning' : 'ok' },
  ];
  if (overview.peers.length > 0) {
    const wanted = sessions.ok + sessions.warning + sessions.trouble;
    list.push({ what: 'BGP sessions', figure: `${sessions.ok} / ${wanted}`, rest: `established, with ${counted(overview.peers.length, 'peer')}`, state: worst(sessions) });
  }
  return list;
}

function tally(list) {
  const counts = { ok: 0, warning: 0, trouble: 0, none: 0 };
  for (const item of list) counts[item.state]++;
  return counts;
}

function troubles(counts, well, aside) {
  const parts = [well];
  if (counts.trouble) parts.push(`${counts.trouble} in trouble`);
  if (counts.warning) parts.push(`${counts.warning} ${aside}`);
  return parts.join(' · ');
}

const worst = (counts) => (counts.trouble ? 'trouble' : counts.warning ? 'warning' : 'ok');
