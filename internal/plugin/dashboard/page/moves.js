// The timeline.
import { by, h, setText, sync } from './dom.js';
import { clock } from './words.js';

let last; // the key of the latest that was shown

const keyOf = (move) => move.key;

export function showMoves(overview, open) {
  const moves = overview.moves;
  if (moves.length === 0) {
    by('moves').replaceChildren(h('li', {}, h('span', {}), h('span', { class: 'soft' }, 'Nothing has moved that is still known.')));
    return;
  }
  sync(by('moves'), moves, keyOf, (move) => h('li', { 'data-state': move.state },
    h('time', { datetime: move.at, title: new Date(move.at).toISOString() }, clock(move.at)),
    move.parts.length > 0
      ? h('details', { class: 'what' }, h('summary', { 'data-focus': keyOf(move) }, h('strong', {}, move.on), ' ', way(move)),
        h('ul', { class: 'parts' }, move.parts.map((part) => h('li', {}, subject(part, open), ' ', way(part)))))
      : h('span', { class: 'what' }, subject(move, open), ' ', way(move)),
    move.words && h('span', { class: 'words' }, move.words)));
  // What was there when the page came up is not read out.
  const fresh = last === undefined ? [] : moves.slice(0, Math.max(0, moves.findIndex((move) => keyOf(move) === last)));
  if (fresh.length > 0) setText(by('said'), fresh.length > 3 ? `${fresh.length} things have happened` : fresh.map((m) => `${m.on} ${m.words || `is with ${m.to}`}`).join('; '));
  last = keyOf(moves[0]);
}

const way = (move) => [move.from && h('span', { class: 'soft' }, move.from, ' → '), move.to && h('span', { class: 'to' }, move.to)];

function subject(move, open) {
  if (!move.service) return h('strong', {}, move.on);
  return h('button', { type: 'button', class: 'mono', 'data-focus': keyOf(move), title: move.service, click: () => open(move.service) }, move.on);
}
