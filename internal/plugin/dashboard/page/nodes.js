// Nodes, with the addresses that they carry.
import { by, folded, h, sync } from './dom.js';
import { counted, marks } from './words.js';

const opened = new Set(); // nodes of which the addresses are shown

export function showNodes(overview, open, light) {
  by('nodes').style.setProperty('--most', overview.nodes.reduce((most, node) => Math.max(most, node.addresses.length), 1));
  sync(by('nodes'), overview.nodes, (node) => node.name, (node) => makeNode(node, open, light));
}

function makeNode(node, open, light) {
  const carried = [];
  if (node.addresses.length > 0 || node.layer2) carried.push(counted(node.addresses.length, 'address').replace('addresss', 'addresses'));
  if (node.routes > 0) carried.push(counted(node.routes, 'route'));
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' }, h('span', { class: node.state === 'trouble' ? 'trouble' : 'assigned' }));
  bar.firstChild.style.width = `calc(100% * ${node.addresses.length} / var(--most))`;
  return h('li', { class: 'node', 'data-state': node.state,
    pointerenter: () => light(node.name), pointerleave: () => light(''), focusin: () => light(node.name), focusout: () => light('') },
  h('div', { class: 'line' },
    h('h3', {}, node.name),
    h('span', { class: 'badge', 'data-state': node.state }, marks[node.state], ' ', node.says),
    h('span', { class: 'count' }, carried.join(' · '))),
  node.words && h('p', { class: 'words' }, node.words),
  node.remarks.map((remark) => h('p', { class: 'words' }, h('span', { class: 'badge', 'data-state': 'warning' }, remark.kind), ' ', remark.words)),
  bar,
  node.addresses.length > 0 && folded(opened, node.name, {}, h('summary', { 'data-focus': node.name }, 'Addresses on layer 2'),
    () => h('ul', { class: 'addresses' }, node.addresses.map((address) => h('li', {}, address.service
      ? h('button', { type: 'button', class: 'mono', 'data-focus': address.ip, title: `${address.service}; ${address.words}`, click: () => open(address.service) }, address.ip)
      : h('span', { class: 'mono', title: address.words }, address.ip))))));
}
