// Requests to the gateway. Every failure becomes one shape, with a sentence to show.

/** The folder of this page: a proxy may have put it below a path of its own. */
const home = new URL(location.pathname.endsWith('/') ? './' : `${location.pathname}/`, location.href);
const address = (path) => new URL(path, home).href;

/** `status` 0: no answer came. `body`: what the answer held, if it was JSON. */
class Failure extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** JSON whose numbers come back as they were written: `1.0` stays `1.0`, and 23 digits stay 23 digits. */
const exact = typeof JSON.rawJSON === 'function';
const isRaw = (value) => exact && JSON.isRawJSON(value);
function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    exact && typeof value === 'number' && context?.source && String(value) !== context.source ? JSON.rawJSON(context.source) : value);
}
const clone = (value) => value === undefined ? undefined : parse(JSON.stringify(value));
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** One request and its JSON answer. `etag` is added to the answer's own members as the second result. */
async function ask(method, path, body, { etag, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (etag) headers['if-match'] = etag;
  let answer, text;
  try {
    answer = await fetch(address(path), { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin', cache: 'no-store' });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    lost();
    throw new Failure(0, t('unreachable_short'));
  }
  let json;
  try { json = parse(text); } catch { json = undefined; }
  if (json === undefined && answer.status >= 500) {
    lost(); // a proxy speaks for a gateway that is gone
    throw new Failure(0, t('unreachable_short'));
  }
  found();
  if (answer.status === 401 && path !== 'api/login') locked();
  if (!answer.ok) {
    const wait = answer.headers.get('retry-after');
    const sentence = json?.error?.message ?? json?.error ?? t('status_n', { n: answer.status });
    throw new Failure(answer.status, wait ? `${sentence} ${t('retry_after', { n: Number(wait) })}` : sentence, json ?? {});
  }
  return [json ?? {}, answer.headers.get('etag') ?? ''];
}

function lost() {
  if (state.reachable) { state.reachable = false; schedule(); }
}
function found() {
  if (!state.reachable) { state.reachable = true; returned(); schedule(); }
}
function locked() {
  if (state.session?.authenticated === false) return;
  state.session = { authenticated: false, via: null };
  schedule();
}
