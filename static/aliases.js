// The form of one alias: where it goes, and what it sets. A value keeps its type: what is text stays text.

const TYPES = ['number', 'text', 'bool', 'null', 'json'];
const KNOWN_PARAMS = 'temperature top_p top_k min_p max_tokens max_completion_tokens max_output_tokens presence_penalty frequency_penalty repetition_penalty reasoning_effort reasoning thinking verbosity seed stop service_tier response_format chat_template_kwargs enable_thinking parallel_tool_calls'.split(' ');
const ALIAS_FIELDS = ['alias', 'upstream', 'target_model', 'param_overrides', 'source'];

const typeOf = value => value === null ? 'null' : isRaw(value) ? 'number' : { number: 'number', boolean: 'bool', string: 'text' }[typeof value] ?? 'json';
/** What somebody who types this most likely means; shown at once, so that it can be corrected. */
const guess = text => {
  const bare = text.trim();
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(bare) ? 'number' : /^(true|false)$/.test(bare) ? 'bool' : bare === 'null' ? 'null' : /^[[{]/.test(bare) ? 'json' : 'text';
};
const rowOf = entry => ({ mode: 'default', ...entry, type: typeOf(entry.value), text: plain(entry.value), touched: true, entry });

/** The value of a row. */
const valueOf = ({ type, text, key }, at) => {
  if (type === 'text') return text;
  if (type === 'null') return null;
  const value = parsed(text.trim());
  if (value === undefined || type !== 'json' && typeOf(value) !== type) throw mistake(`params.${at}.text`, t('bad_value', key, t(`type_${type}`)));
  return value;
};

const openAlias = (base, from = {}) => {
  const { upstreams } = state.config;
  const source = base ?? from;
  const params = clone(source.param_overrides ?? []);
  const extra = params.find(({ key, value }) => key === 'extra_body' && typeOf(value) === 'json');
  open('alias', {
    list: 'aliases',
    base: clone(base),
    extra, extraAt: extra ? params.indexOf(extra) : params.length,
    draft: {
      alias: base?.alias ?? '',
      upstream: source.upstream || (upstreams.find(isOn) ?? upstreams[0]).name,
      target_model: source.target_model ?? '',
      params: params.filter(entry => entry !== extra).map(rowOf),
      extra: extra ? JSON.stringify(extra.value, null, 2) : '',
      extra_mode: extra?.mode ?? 'default',
      rest: restText(source, ALIAS_FIELDS),
    },
  });
};

const datalist = (id, values) => html`<datalist id="${id}">${values.map(value => html`<option value="${value}"></option>`)}</datalist>`;
views.alias = ({ draft, base }) => {
  const { loading, error, models = [] } = state.fetched[draft.upstream] ?? {};
  return modal(t(base ? 'edit_alias' : 'new_alias'), html`${div('two', field('alias', { look: 'mono', placeholder: draft.target_model }),
    field('upstream', { options: state.config.upstreams.map(upstream => [upstream.name, isOn(upstream) ? upstream.name : `${upstream.name} (${t('switched_off')})`]) }))}
    ${field('target_model', { look: 'mono', known: 'known-models', hint: loading ? t('loading') : error ? t('models_failed', error) : t('target_hint', models.length) })}
    ${datalist('known-models', models.slice(0, 500).map(({ id }) => id))}
    <fieldset class="params"><legend>${t('parameters')}</legend>${hint(t('params_hint'))}
      ${draft.params.map(paramRow)}${button('add_parameter', { glyph: 'plus' })}${datalist('known-params', KNOWN_PARAMS)}</fieldset>
    ${fold('extra_body', [field('extra', { rows: 5, look: 'mono', placeholder: '{"chat_template_kwargs": {"enable_thinking": false}}' }), modeField('extra_mode')], draft.extra)}
    ${restField('strict, flags, max_model_len', '{"strict": true, "max_model_len": 131072}')}`,
  t('save'), { look: 'wide', start: base && button('delete_here', { label: t('delete'), look: 'danger start', name: base.alias }) });
};
actions.delete_here = (data, dialog) => {
  shut(dialog);
  return actions.delete_alias(data);
};

const modeField = name => field(name, { label: 'mode', options: ['default', 'override'].map(mode => [mode, t(`mode_${mode}`)]) });
const paramRow = ({ key, type }, at) => {
  const name = member => `params.${at}.${member}`;
  return html`<div class="param" role="group" aria-label="${key || t('add_parameter')}">
    ${field(name('key'), { look: 'mono', known: 'known-params', placeholder: 'temperature' })}
    ${field(name('text'), { label: 'value', look: 'mono', off: type === 'null', placeholder: '0.7' })}
    ${field(name('type'), { options: TYPES.map(type => [type, t(`type_${type}`)]) })}${modeField(name('mode'))}
    ${button('drop_parameter', { label: t('remove_x', key || t('key')), name: at, glyph: 'trash', bare: true })}</div>`;
};
actions.add_parameter = (_, { draft: { params } }) => {
  params.push({ key: '', type: 'number', text: '', mode: 'default' });
  render();
  byId(`f-draft.params.${params.length - 1}.key`)?.focus();
};
actions.drop_parameter = ({ name }, { draft }) => draft.params.splice(name, 1);
/** Called after each change of a draft: the type follows the text until somebody chooses it. */
const followParams = (row, member) => {
  if (member === 'type') row.touched = true;
  if (member === 'text' && !row.touched) row.type = row.text.trim() ? guess(row.text) : 'number';
};

submits.alias = async ({ draft, base, extra, extraAt }) => {
  const target_model = needed(draft, 'target_model');
  const alias = draft.alias.trim() || target_model;
  const taken = aliasOf(alias);
  if (taken && alias !== base?.alias) throw mistake('alias', t('alias_taken', alias, taken.upstream, taken.target_model));
  const params = draft.params.flatMap((row, at) => {
    const key = row.key.trim();
    if (!key && !row.text.trim()) return [];
    needed(draft, `params.${at}.key`);
    return [{ ...row.entry, key, value: valueOf(row, at), mode: row.mode }];
  });
  if (draft.extra.trim()) params.splice(extraAt, 0, { ...extra, key: 'extra_body', value: objectOf(draft, 'extra'), mode: draft.extra_mode });
  const mine = { ...objectOf(draft, 'rest'), alias, upstream: draft.upstream, target_model, param_overrides: params };
  mine.source = base && ['alias', 'upstream', 'target_model'].every(key => same(base[key], mine[key])) ? base.source : 'manual';
  await save(entryEdit('aliases', base, mine));
  toast(t('x_saved', alias));
};

/** What is to stand for a member that is filled in or not; one that stood there as null or false stays so. */
const orBefore = (value, before) => value || (before ? undefined : before);
