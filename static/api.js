// Requests to the gateway. Every failure becomes one shape, with a sentence to show.

/** The folder of this page: a proxy may have put it below a path of its own. */
const home = new URL(location.pathname.endsWith('/') ? './' : `${location.pathname}/`, location.href);
const address = path => new URL(path, home).href;

/** `status` 0: no answer came. `problems`: what the answer says of members of the configuration. */
class Failure extends Error {
  constructor(status, message, problems = []) {
    super(message);
    Object.assign(this, { status, problems });
  }
}

/** JSON whose numbers come back as they were written: `1.0` stays `1.0`, and 23 digits stay 23 digits. */
const exact = typeof JSON.rawJSON === 'function';
const isRaw = value => exact && JSON.isRawJSON(value);
const parse = text => {
  return JSON.parse(text, (_, value, context) =>
    exact && typeof value === 'number' && context?.source && String(value) !== context.source ? JSON.rawJSON(context.source) : value);
};
/** The value of a text, or undefined if it is not JSON. */
const parsed = text => {
  try { return parse(text); } catch { return undefined; }
};
const clone = value => value && parse(JSON.stringify(value));
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** Sends what is same-origin and never kept: the answer, whatever its status. */
const send = (method, path, body, headers = {}, signal) => fetch(address(path), { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }, signal, body: body && JSON.stringify(body), credentials: 'same-origin', cache: 'no-store' });

/** One request to the management API; its JSON answer and the etag of that. */
const ask = async (method, path, body, etag) => {
  let answer, json;
  try {
    answer = await send(method, `api/${path}`, body, etag && { 'if-match': etag });
    json = parsed(await answer.text());
  } catch { /* no answer, or half of one */ }
  // Without JSON a proxy speaks for a gateway that is gone.
  const gone = !answer || json === undefined && answer.status >= 500;
  if (gone === state.reachable) {
    state.reachable = !gone;
    if (!gone) returned();
    schedule();
  }
  if (gone) throw new Failure(0, t('no_answer'));
  if (answer.status === 401 && path !== 'login') locked();
  if (answer.ok) return [json ?? {}, answer.headers.get('etag') ?? ''];
  const wait = answer.headers.get('retry-after');
  throw new Failure(answer.status, `${errorOf(json, answer)}${wait ? ` ${t('retry_after', Number(wait))}` : ''}`, json?.problems);
};
const get = path => ask('GET', path);
/** What an answer that is not 2xx says. */
const errorOf = (json, { status }) => plain(json?.error?.message ?? json?.error ?? `${t('status')} ${status}`);

const locked = () => {
  if (isInside() === false) return;
  state.session = { authenticated: false };
  schedule();
};
