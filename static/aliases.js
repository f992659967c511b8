// The form of one alias: where it goes, and what it sets. A value keeps its type: what is text stays text.

const TYPES = ['number', 'text', 'bool', 'null', 'json'];
const KNOWN_PARAMS = ['temperature', 'top_p', 'top_k', 'min_p', 'max_tokens', 'max_completion_tokens', 'max_output_tokens', 'presence_penalty', 'frequency_penalty', 'repetition_penalty', 'reasoning_effort', 'reasoning', 'thinking', 'verbosity', 'seed', 'stop', 'service_tier', 'response_format', 'chat_template_kwargs', 'enable_thinking', 'parallel_tool_calls'];

const ALIAS_FIELDS = ['alias', 'upstream', 'target_model', 'param_overrides', 'source'];
const typeOf = (value) => value === null ? 'null' : typeof value === 'number' || isRaw(value) ? 'number' : typeof value === 'boolean' ? 'bool' : typeof value === 'string' ? 'text' : 'json';
/** What somebody who types this most likely means; shown at once, so that it can be corrected. */
function guess(text) {
  const bare = text.trim();
  if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(bare)) return 'number';
  if (bare === 'true' || bare === 'false') return 'bool';
  if (bare === 'null') return 'null';
  return /^[[{]/.test(bare) ? 'json' : 'text';
}
const rowOf = (entry) => ({ key: entry.key, type: typeOf(entry.value), text: typeOf(entry.value) === 'json' ? JSON.stringify(entry.value) : plain(entry.value), mode: entry.mode ?? 'default', touched: true, entry });

/** The value of a row. */
function valueOf(row, at) {
  const bare = row.text.trim();
  if (row.type === 'text') return row.text;
  if (row.type === 'null') return null;
  if (row.type === 'bool' && (bare === 'true' || bare === 'false')) return bare === 'true';
  if (row.type === 'number' && guess(bare) === 'number') return parse(bare);
  if (row.type === 'json') try { return parse(bare); } catch { /* said below */ }
  throw new Mistake(`draft.params.${at}.text`, t('bad_value', { key: row.key, type: t(`type_${row.type}`) }));
}

function openAlias(base, from = {}) {
  const source = base ?? from;
  const params = clone(source.param_overrides ?? []);
  const at = params.findIndex((entry) => entry.key === 'extra_body' && typeOf(entry.value) === 'json');
  const extra = at < 0 ? null : params[at];
  const enabled = state.config.upstreams.filter((upstream) => upstream.enabled !== false);
  const dialog = open('alias', {
    base: clone(base),
    extra, extraAt: at < 0 ? params.length : at,
    draft: {
      alias: base ? base.alias : '',
      upstream: source.upstream || enabled[0]?.name || state.config.upstreams[0]?.name || '',
      target_model: source.target_model ?? '',
      params: params.filter((entry) => entry !== extra).map(rowOf),
      extra: extra ? JSON.stringify(extra.value, null, 2) : '',
      extra_mode: extra?.mode ?? 'default',
      rest: restText(source, ALIAS_FIELDS),
    },
  });
  return dialog;
}

dialogViews.alias = (dialog) => {
  const { draft } = dialog;
  const fetched = state.fetched[draft.upstream];
  const problem = problemsOf(dialog, 'aliases');
  return modal(dialog, {
    title: dialog.base ? t('edit_alias') : t('new_alias'),
    look: 'wide',
    submit: 'alias',
    body: html`<div class="grid two">${field({ bind: 'draft.alias', label: t('alias_name'), value: draft.alias, look: 'mono', hint: t('alias_hint'), problem: problem('alias'), placeholder: draft.target_model })}
      ${field({ bind: 'draft.upstream', label: t('upstream'), value: draft.upstream, problem: problem('upstream'), options: state.config.upstreams.map((upstream) => [upstream.name, upstream.enabled === false ? `${upstream.name} (${t('switched_off')})` : upstream.name]) })}</div>
      ${field({ bind: 'draft.target_model', label: t('target_model'), value: draft.target_model, look: 'mono', list: 'known-models', problem: problem('target_model'), hint: fetched?.loading ? t('loading_models') : fetched?.error ? t('models_failed', { error: fetched.error }) : t('target_hint', { n: fetched?.models.length ?? 0 }) })}
      <datalist id="known-models">${(fetched?.models ?? []).slice(0, 500).map(({ id }) => html`<option value="${id}"></option>`)}</datalist>
      <fieldset class="params"><legend>${t('params')}</legend><p class="hint">${t('params_hint')}</p>
        ${draft.params.map((row, at) => paramRow(row, at))}
        <button type="button" data-action="add-param">${icon('plus')}${t('add_param')}</button>
        <datalist id="known-params">${KNOWN_PARAMS.map((key) => html`<option value="${key}"></option>`)}</datalist></fieldset>
      <details ${draft.extra && 'open'}><summary>extra_body</summary><div class="fold">
        ${field({ bind: 'draft.extra', label: t('extra_body'), value: draft.extra, rows: 5, look: 'mono', hint: t('extra_hint'), placeholder: '{"chat_template_kwargs": {"enable_thinking": false}}' })}
        ${field({ bind: 'draft.extra_mode', label: t('mode'), value: draft.extra_mode, options: modes() })}</div></details>
      ${restField(dialog, 'aliases', '{"strict": true, "max_model_len": 131072}')}`,
    foot: html`${dialog.base && html`<button type="button" class="danger start" data-action="delete-here" data-name="${dialog.base.alias}">${t('delete')}</button>`}${cancelButton()}${saveButton(dialog)}`,
  });
};
actions['delete-here'] = (button) => {
  shut(dialogOf(button));
  removeAlias(aliasOf(button.dataset.name));
};

const modes = () => [['default', t('mode_default')], ['override', t('mode_override')]];
function paramRow(row, at) {
  const bind = `draft.params.${at}`;
  return html`<div class="param" role="group" aria-label="${row.key || t('add_param')}">
    ${field({ bind: `${bind}.key`, label: t('param_key'), value: row.key, look: 'mono', list: 'known-params', placeholder: 'temperature' })}
    ${field({ bind: `${bind}.text`, label: t('param_value'), value: row.type === 'null' ? '' : row.text, look: 'mono', disabled: row.type === 'null', placeholder: '0.7' })}
    ${field({ bind: `${bind}.type`, label: t('param_type'), value: row.type, options: TYPES.map((type) => [type, t(`type_${type}`)]) })}
    ${field({ bind: `${bind}.mode`, label: t('mode'), value: row.mode, options: modes() })}
    <button type="button" class="quiet" data-action="drop-param" data-name="${at}" aria-label="${t('remove_x', { name: row.key || t('param_key') })}" title="${t('remove')}">${icon('trash')}</button></div>`;
}
actions['add-param'] = (button) => {
  const { draft } = dialogOf(button);
  draft.params.push({ key: '', type: 'number', text: '', mode: 'default', touched: false });
  schedule();
  drawNow();
  document.getElementById(`f-draft.params.${draft.params.length - 1}.key`)?.focus();
};
actions['drop-param'] = (button) => {
  dialogOf(button).draft.params.splice(Number(button.dataset.name), 1);
  schedule();
};
/** Called after each change of a draft: the type follows the text until somebody chooses it. */
function followParams(dialog, path) {
  const [, , at, member] = /^(draft\.params)\.(\d+)\.(\w+)$/.exec(path) ?? [];
  const row = dialog.draft.params?.[at];
  if (!row) return;
  if (member === 'type') row.touched = true;
  if (member === 'text' && !row.touched) row.type = row.text.trim() ? guess(row.text) : 'number';
}

/** The sentence about a member of the entry that a form is about, from the server's problems. */
const problemsOf = (dialog, list) => (member) => dialog.problems.find(({ path }) => path.startsWith(`${list}[`) && path.endsWith(`].${member}`))?.message;

submits.alias = (dialog) => submitForm(dialog, async () => {
  const { draft, base } = dialog;
  const name = draft.alias.trim() || draft.target_model.trim();
  if (!draft.target_model.trim()) throw new Mistake('draft.target_model', t('need_target'));
  const taken = aliasOf(name);
  if (taken && name !== base?.alias) throw new Mistake('draft.alias', t('alias_taken', { name, upstream: taken.upstream }));
  const params = draft.params.flatMap((row, at) => {
    if (!row.key.trim() && !row.text.trim()) return [];
    if (!row.key.trim()) throw new Mistake(`draft.params.${at}.key`, t('need_key'));
    return [{ ...row.entry, key: row.key.trim(), value: valueOf(row, at), mode: row.mode }];
  });
  if (draft.extra.trim()) {
    let value;
    try { value = parse(draft.extra); } catch (error) { throw new Mistake('draft.extra', t('bad_json', { error: error.message })); }
    if (typeOf(value) !== 'json' || Array.isArray(value)) throw new Mistake('draft.extra', t('need_object'));
    params.splice(Math.min(dialog.extraAt, params.length), 0, { ...dialog.extra, key: 'extra_body', value, mode: draft.extra_mode });
  }
  const mine = { ...restOf(draft), alias: name, upstream: draft.upstream, target_model: draft.target_model.trim(), param_overrides: params };
  const untouched = base && ['alias', 'upstream', 'target_model'].every((key) => same(base[key], mine[key]));
  mine.source = untouched ? base.source : 'manual';
  await save(entryEdit('aliases', 'alias', base, mine));
  toast(t('saved_x', { name }));
});

/** Sets a member, or takes it away where nothing is to stand; one that stood there as null or false stays so. */
function set(entry, key, value, base) {
  if (value !== undefined) entry[key] = value;
  else if (base?.[key] === null || base?.[key] === false) entry[key] = base[key];
  else delete entry[key];
}
