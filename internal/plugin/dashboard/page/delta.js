// What is shown follows from the state of the cluster, of which the plugin sends the whole at first and then what changes.

// applied is the value that a delta makes of another one, which stays as it is. What does not change is the very same object, so that
// nobody has to look into it. The format is described in delta.go.
export function applied(before, delta) {
  if ('=' in delta) return delta['='];
  if (delta.l) return appliedToList(before, delta.l);
  const object = { ...before };
  for (const [key, change] of Object.entries(delta.o)) object[key] = applied(object[key], change);
  for (const key of delta.x ?? []) delete object[key];
  return object;
}

function appliedToList(before, steps) {
  const list = [];
  let at = 0;
  for (const step of steps) {
    if (typeof step !== 'number') list.push('=' in step ? step['='] : applied(before[at++], step));
    else if (step < 0) at -= step;
    else for (const end = at + step; at < end; at++) list.push(before[at]);
  }
  return list;
}
