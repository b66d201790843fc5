// How elements are made and brought up to date. Text goes into text nodes and attributes alone:
// nothing is ever read as HTML.

// h makes an element. Children are elements, texts, or nothing; an attribute that is null, undefined
// or false is left out. A function as an attribute listens to the event of that name.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// by returns the element with an id.
export const by = (id) => document.getElementById(id);

// sync has a parent show one element for each item, in this order. What shows the same as before
// stays the very same element, so that the focus, what is scrolled and what is selected stay too. key
// names an item, and make makes its element. An item that is the very same object is not looked into.
export function sync(parent, items, key, make) {
  const before = new Map([...parent.children].map((element) => [element.shownKey, element]));
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = before.get(name);
    before.delete(name);
    if (!element || element.shownItem !== item && JSON.stringify(element.shownItem) !== JSON.stringify(item)) {
      const old = element;
      element = make(item);
      element.shownKey = name;
      if (old) {
        if (old === next) next = element;
        old.replaceWith(element);
      }
    }
    element.shownItem = item;
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  for (const element of before.values()) element.remove();
  if (focused !== undefined && !parent.contains(document.activeElement)) {
    parent.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

// folded is a part of the page that is drawn when it is opened: closed, it may stand for hundreds. opened has the names of those that
// are open, also of those that are made anew.
export function folded(opened, name, attributes, summary, draw) {
  const fill = () => { if (details.open && details.children.length === 1) details.append(draw()); };
  const details = h('details', { ...attributes, open: opened.has(name), toggle: () => {
    if (details.open) opened.add(name);
    else opened.delete(name);
    fill();
  } }, summary);
  fill();
  return details;
}

// setText changes a text only if it is another one, so that screen readers do not read the same again.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// roving makes one tab stop of many elements, with the arrow keys between them. find returns them in
// their order; they may be made anew at any time. Up and down go by how many there are in a line on
// the screen.
export function roving(parent, find) {
  parent.addEventListener('keydown', (event) => {
    const all = find(), at = all.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const top = all[0].getBoundingClientRect().top;
    const line = Math.max(1, all.findIndex((element) => element.getBoundingClientRect().top > top + 1));
    const steps = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + line, ArrowUp: at - line, Home: 0, End: all.length - 1 };
    const target = all[steps[event.key]];
    if (!target) return;
    event.preventDefault();
    moveStop(all, target);
    target.focus();
  });
  parent.addEventListener('focusin', (event) => {
    const all = find();
    if (all.includes(event.target)) moveStop(all, event.target);
  });
}

// keepStop has one of the elements be the tab stop, after some were made anew.
export function keepStop(all) {
  if (all.length > 0 && !all.some((element) => element.tabIndex === 0)) all[0].tabIndex = 0;
}

function moveStop(all, target) {
  for (const element of all) element.tabIndex = element === target ? 0 : -1;
}
