// BGP sessions: a table of routers and nodes.
import { by, h } from './dom.js';
import { ago } from './words.js';

const signs = { ok: '●', warning: '◐', trouble: '✕', none: '○' };
let shown = '';

export function showSessions(overview) {
  by('bgp').hidden = overview.peers.length === 0;
  const text = JSON.stringify(overview.peers);
  if (text === shown) return;
  shown = text;
  const nodes = [...new Set(overview.peers.flatMap((peer) => peer.sessions.map((session) => session.node)))].sort();
  const remarks = overview.peers.flatMap((peer) => peer.sessions.filter((s) => s.words && (s.state === 'trouble' || s.state === 'warning')).map((s) => `${s.node} with ${peer.name}: ${s.words}`));
  by('sessions').replaceChildren(
    h('table', { class: 'sessions' },
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Peer'), nodes.map((node) => h('th', { scope: 'col' }, node)))),
      h('tbody', {}, overview.peers.map((peer) => h('tr', {},
        h('th', { scope: 'row' }, peer.name, h('small', { class: 'mono' }, peer.address)),
        nodes.map((node) => h('td', {}, cell(peer.sessions.filter((session) => session.node === node)))))))),
    h('ul', { class: 'remarks' }, remarks.map((remark) => h('li', {}, remark))));
}

function cell(sessions) {
  if (sessions.length === 0) return h('span', { class: 'session', 'data-state': 'none' }, '–', h('span', { class: 'hidden' }, 'none'));
  return sessions.map((s) => h('span', { class: 'session', 'data-state': s.state, title: [s.says, s.since && `since ${ago(s.since)}`, s.words].filter(Boolean).join('; ') },
    h('span', { 'aria-hidden': 'true' }, signs[s.state]),
    h('span', { class: 'hidden' }, s.says),
    s.state === 'ok' ? `${s.prefixes}` : s.says.toLowerCase(), s.bfd && ` ${s.bfd}`));
}
