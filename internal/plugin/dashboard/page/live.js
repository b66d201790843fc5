// The connection to the plugin: it says by server-sent events that there is something new, and the
// page asks for it. Only one question is on its way at a time, so that a slow page never falls behind
// by more than one answer.

const silence = 15_000; // three heartbeats

// follow calls show with every new state of the cluster, and tell with how the connection is: live,
// stale or lost, and why.
export function follow(show, tell) {
  let known = '', wanted = '', asking = false, source, watchdog, retry, stale = '';

  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => lost('the plugin is silent'), silence);
  };
  const lost = (why) => {
    source?.close();
    clearTimeout(watchdog);
    tell('lost', why);
    clearTimeout(retry);
    retry = setTimeout(connect, 2000);
  };
  const report = () => tell(stale ? 'stale' : 'live', stale);
  const ask = async () => {
    if (asking || wanted === known) return;
    asking = true;
    const asked = wanted;
    try {
      const answer = await fetch('api/overview', { cache: 'no-store' });
      if (answer.status === 401 || answer.status === 403) return ended();
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const overview = await answer.json();
      known = asked;
      show(overview);
      report();
    } catch (error) {
      lost(String(error.message ?? error));
      return;
    } finally {
      asking = false;
    }
    ask();
  };
  const ended = () => {
    source?.close();
    clearTimeout(watchdog);
    clearTimeout(retry);
    tell('lost', 'this page belongs to a run of the plugin that has ended; open the address that the plugin prints');
  };
  const connect = () => {
    source = new EventSource('api/changes');
    source.addEventListener('state', (event) => {
      heard();
      const state = JSON.parse(event.data);
      wanted = state.version;
      stale = state.stale;
      if (wanted === known) report();
      else ask();
    });
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) fetch('api/overview', { method: 'GET' }).then((answer) => {
        if (answer.status === 401 || answer.status === 403) ended();
        else lost('the plugin has closed the connection');
      }, () => lost('the plugin does not answer'));
      else tell('lost', 'the plugin does not answer');
    });
    heard();
  };
  connect();
}

// path asks for the path of a Service, "namespace/name".
export async function path(service, signal) {
  const answer = await fetch(`api/path?service=${encodeURIComponent(service)}`, { cache: 'no-store', signal });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`the plugin answers ${answer.status}`);
  return answer.json();
}
