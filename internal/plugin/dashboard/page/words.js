// Words and marks that several parts of the page use.

export const marks = { ok: '✓', warning: '!', trouble: '✕', none: '–' };

// counted is a number with its noun.
export const counted = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// large is a number as it is read at a glance; of IPv6 prefixes that is a power of ten.
export function large(n) {
  if (n < 1e6) return n.toLocaleString('en');
  const power = Math.floor(Math.log10(n)), digits = [...String(power)].map((d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]).join('');
  return `${(n / 10 ** power).toFixed(1)}·10${digits}`;
}

// clock is a time of day; with the date if it was not today.
export function clock(text) {
  const time = new Date(text), today = new Date().toDateString() === time.toDateString();
  const day = today ? '' : `${time.toLocaleDateString('en', { month: 'short', day: 'numeric' })} `;
  return day + time.toLocaleTimeString('en-GB', today ? {} : { hour: '2-digit', minute: '2-digit' });
}

// ago is how long ago a time was.
export function ago(text, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - new Date(text)) / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

// familyName of an address.
export const isIPv6 = (ip) => ip.includes(':');
