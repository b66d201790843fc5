// Pools, drawn address by address where they are small, and block by block where they are large.
import { by, folded, h, keepStop, roving, setText, sync } from './dom.js';
import { large, marks } from './words.js';

const states = { assigned: 'assigned', trouble: 'assigned, not announced', free: 'free', resting: 'resting after use', reserved: 'reserved', contested: 'another pool’s' };

const opened = new Set(); // blocks of which the addresses are shown

export function startPools() {
  by('legend').append(...Object.entries(states).map(([state, words]) => h('li', {}, h('span', { class: 'cell', 'data-state': state, 'aria-hidden': 'true' }), words)));
}

export function showPools(overview, open) {
  if (overview.pools.length === 0) {
    by('pools').replaceChildren(h('p', { class: 'empty' }, 'There is no IPAddressPool.'));
    return;
  }
  // What changes often is brought up to date by itself, so that a pool is not made anew for every
  // address.
  const frames = overview.pools.map((pool) => ({ ...pool, counts: null, drawings: pool.drawings.map(({ range, rows }) => ({ range, small: Boolean(rows) })) }));
  sync(by('pools'), frames, (pool) => pool.name, makePool);
  for (const [i, pool] of overview.pools.entries()) {
    const element = by('pools').children[i];
    setText(element.querySelector('.count'), pool.counts.map((c) => `${c.family} ${large(c.assigned)} of ${large(c.total)}`).join(' · '));
    pool.drawings.forEach((drawing, at) => showDrawing(element.querySelectorAll('.drawing')[at], drawing, open));
  }
}

// makePool makes all of a pool but its numbers and what is in its drawings, which are brought up to
// date row by row.
function makePool(pool) {
  return h('article', { class: 'pool', 'aria-label': `Pool ${pool.name}` },
    h('header', {},
      h('h3', { title: pool.words }, pool.name),
      pool.state !== 'ok' && h('span', { class: 'badge', 'data-state': pool.state }, marks[pool.state], ' ', pool.reason),
      !pool.autoAssign && h('span', { class: 'badge' }, 'on request only'),
      h('span', { class: 'count' })),
    pool.state !== 'ok' && pool.words && h('p', { class: 'words' }, pool.words),
    pool.drawings.map((drawing) => h('div', { class: 'drawing' },
      h('div', { class: 'range mono' }, drawing.range, drawing.small && h('span', { class: 'caption', 'aria-hidden': 'true' })),
      h('div', { class: drawing.small ? 'rows' : 'blocks', role: 'group', 'aria-label': `Addresses ${drawing.range} of pool ${pool.name}` }))));
}

function showDrawing(element, drawing, open) {
  const parent = element.querySelector('.rows, .blocks');
  if (drawing.rows) {
    sync(parent, drawing.rows, (row) => row.label + row.from, (row) => makeRow(row));
    const cells = () => [...parent.querySelectorAll('button.cell')];
    keepStop(cells());
    if (!parent.dataset.ready) {
      parent.dataset.ready = 'yes';
      roving(parent, cells);
      const caption = element.querySelector('.caption');
      const say = (event) => { if (event.target.title) caption.textContent = event.target.title; };
      parent.addEventListener('focusin', say);
      parent.addEventListener('pointerover', say);
      parent.addEventListener('click', (event) => {
        say(event);
        if (event.target.dataset.service) open(event.target.dataset.service);
      });
    }
    return;
  }
  sync(parent, drawing.blocks, (block) => block.from, (block) => makeBlock(block, open));
}

function makeRow(row) {
  return h('div', { class: 'row' },
    h('span', { class: 'label mono', 'aria-hidden': 'true' }, row.label),
    row.cells.map((cell, i) => {
      if (!cell) return h('span', {});
      const words = `${cell.ip}: ${cell.words || states[cell.state] || cell.state}`;
      return h('button', { type: 'button', class: cell.services?.length > 1 ? 'cell shared' : 'cell', tabindex: -1, title: words, 'aria-label': words,
        'data-state': cell.state, 'data-focus': cell.ip, 'data-ip': cell.ip, 'data-nodes': cell.nodes?.join(' '), 'data-service': cell.services?.[0] });
    }));
}

function makeBlock(block, open) {
  const said = ['assigned', 'trouble', 'resting', 'reserved', 'contested'].filter((state) => block[state] > 0);
  const words = [...said.map((state) => `${large(block[state])} ${states[state]}`), `${large(block.free)} free`].join(', ');
  if (said.length === 0) return h('div', { class: 'block gap', title: `${block.from} to ${block.to}` }, h('span', { class: 'mono' }, block.name), h('br'), `${large(block.free)} free`);
  // Of a block with 2^40 addresses, what is used is never seen to scale: it is at least a sliver.
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  for (const state of said) {
    const part = h('span', { class: state });
    part.style.width = `${Math.max(2, 100 * block[state] / block.total)}%`;
    bar.append(part);
  }
  return folded(opened, block.from, { class: 'block' }, h('summary', { 'data-focus': block.from }, h('span', { class: 'mono' }, block.name), h('br'), words, bar),
    () => h('ul', { class: 'addresses' }, block.cells.map((cell) => h('li', {}, cell.services?.length
      ? h('button', { type: 'button', class: 'mono', 'data-focus': cell.ip, click: () => open(cell.services[0]), title: cell.words }, cell.ip)
      : h('span', { class: 'mono', title: cell.words }, cell.ip)))));
}

// lightPools marks the addresses of which of returns true, and what is on a node.
export function lightPools(addresses, node) {
  const pools = by('pools');
  let any = false;
  const isLit = (cell) => (node ? cell?.nodes?.includes(node) : addresses.has(cell?.ip));
  for (const element of pools.querySelectorAll('.cell[data-ip], details.block')) {
    const cells = element.shownItem?.cells;
    const lit = Boolean(cells ? cells.some(isLit) : isLit({ ip: element.dataset.ip, nodes: element.dataset.nodes?.split(' ') }));
    element.classList.toggle('lit', lit);
    any ||= lit;
  }
  pools.classList.toggle('dimmed', any);
}
