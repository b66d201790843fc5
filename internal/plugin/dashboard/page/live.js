// The connection to the plugin: by server-sent events it sends the state of the cluster, and then what changes. A page that is slow
// reads late, and is told of several changes, or of the state as a whole, as the plugin still knows them.
import { applied } from './delta.js';

const silence = 15_000; // three heartbeats

// follow calls show with every new state of the cluster, and tell with how the connection is: live,
// stale or lost, and why.
export function follow(show, tell) {
  let revision = '', overview = null, source, watchdog, retry;

  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => lost('the plugin is silent'), silence);
  };
  const end = () => {
    source?.close();
    clearTimeout(watchdog);
    clearTimeout(retry);
  };
  const lost = (why) => {
    end();
    tell('lost', why);
    retry = setTimeout(connect, 2000);
  };
  const ended = () => {
    end();
    tell('lost', 'this page belongs to a run of the plugin that has ended; open the address that the plugin prints');
  };
  const take = (event) => {
    heard();
    try {
      const news = JSON.parse(event.data);
      if (news.state !== undefined || news.change) {
        overview = news.change ? applied(overview, news.change) : news.state;
        show(overview);
      }
      revision = event.lastEventId;
      tell(news.stale ? 'stale' : 'live', news.stale);
    } catch (error) {
      revision = ''; // the next time, as a whole
      lost(String(error.message ?? error));
    }
  };
  const connect = () => {
    source = new EventSource(`api/changes?since=${revision}`);
    source.addEventListener('news', take);
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) fetch('icon.svg', { cache: 'no-store' }).then((answer) => {
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
