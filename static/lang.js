// Every word of the page. A line is `key|English|中文`, or `key|中文` where the key itself is the English. `{}` is the first
// value, `{2}` the second; `a~b`: the first for one, the second for any other number.

const WORDS = {};
for (const [key, ...said] of `
models|模型
upstreams|上游
keys|密钥
requests|请求
play|试用
settings|设置
views|页面
skip|Skip to the content|跳到内容
state|State of the gateway|网关状态
all_well|ok|正常
connecting|connecting|连接中
gone|not reachable|无法连接
bad_config|config invalid|配置无效
read_only|read-only|只读
unreachable|The gateway is not reachable, trying again. Nothing you typed is lost.|网关暂时无法连接，正在重试。已输入的内容不会丢失
no_answer|the gateway is not reachable|网关无法连接
retry_after|Try again in {} s.|请在 {} 秒后重试
config_invalid|The configuration file was edited and is not valid. The last good one stays in force.|配置文件被修改且无效，继续使用上一份有效配置
see_why|查看原因
loading|Loading…|正在加载…
elsewhere|The configuration was changed elsewhere; this page shows it now.|配置已在别处被修改，页面已更新

add|添加
save|保存
saving|Saving…|保存中…
cancel|取消
close|关闭
edit|编辑
delete|删除
undo|撤销
change|更改
clear|清空
duplicate|复制一份
copy|复制
copied|已复制
copy_failed|The browser did not allow copying|浏览器不允许复制
copy_name|复制名称
copy_target_model|复制目标模型
copy_address|复制地址
edit_x|Edit {}|编辑 {}
remove_x|Remove {}|移除 {}
x_saved|{} saved|{} 已保存
x_deleted|{} deleted|{} 已删除
actions_for|Actions for {}|{} 的操作
name|名称
value|值
key|键
type|类型
mode|模式
none|none|无
more_options|更多选项
unknown|unknown|未知
n_more|and {} more|还有 {} 个
show_fewer|收起
show_all|显示全部
try_again|重试
show_or_hide|显示或隐藏
nothing_found|没有找到
filter_more|{} more: narrow them down with the filter|还有 {} 个：请用筛选缩小范围
leave_title|Leave without saving?|不保存就离开？
leave_text|What you changed in this form will be lost.|此表单中的修改将会丢失
discard|放弃修改
delete_title|Delete “{}”?|删除“{}”？
missing|Please fill in: {}|请填写：{}
name_taken|“{}” exists already.|“{}” 已存在
not_saved|Not saved.|未保存
too_many_writers|The configuration keeps changing elsewhere; try again.|配置在别处不断变化，请重试
comments_kept|The hand-written file with its comments was kept as {}|带注释的原文件已保留为 {}
clash_title|Changed by someone else too|其他人也做了修改
clash_text|While you were editing, the same was changed elsewhere. Choose what to keep.|编辑期间，相同内容已在别处被修改。请选择保留哪一个
clash_mine|Yours:|您的：
clash_theirs|Now there:|当前：
clash_save|Save this choice|保存所选
clash_entry|the whole entry|整个条目
not_there|(not there)|（不存在）
concealed|(kept hidden)|（已隐藏）
rest|Everything else (JSON)|其他设置（JSON）
rest_hint|{}: as in the configuration file. Masked values stay as they are.|{}：与配置文件相同。掩码值保持不变
bad_json|This is not a JSON object: {}|不是有效的 JSON 对象：{}

connect|Connect a client|连接客户端
new_alias|新建别名
edit_alias|编辑别名
filter_models|Filter aliases, models, upstreams|筛选别名、模型、上游
n_models|{} model~{} models|{} 个模型
stray|Upstream is gone|上游已不存在
switched_off|off|已停用
n_params|{} parameter~{} parameters|{} 个参数
strict|strict|严格
auto|自动
manual|手动
try|try|试用
try_x|Try {}|试用 {}
start_title|Where are your models?|您的模型在哪里？
start_text|Add a server that has models. Then choose which of them clients may call, and under which names.|先添加提供模型的服务器，再选择客户端可以调用哪些模型、用什么名称
add_upstream|添加上游
no_models_yet|还没有模型
no_models_text|Click a model of an upstream and clients can call it. Or make an alias: a name of your own with your defaults.|点击上游的某个模型，客户端即可调用。也可以新建别名：自定义名称和默认参数
choose_models|选择模型
alias_goes|Clients that ask for “{}” will get an error.|请求 “{}” 的客户端将收到错误

model|模型
client|客户端
client_key|客户端密钥
any_key|This gateway asks for no key, so any text will do. Make a key if others can reach it.|此网关不要求密钥，任意文本即可。如果他人能访问，请创建密钥
fresh_key|The lines hold the key you just made.|以上内容包含刚创建的密钥
paste_key|Put the key “{}” in place of {2}: it was shown once, when it was made.|请用密钥 “{}” 替换 {2}：它只在创建时显示过一次
loopback|{} works on this machine only; elsewhere use its address in your network.|{} 仅在本机有效；其他设备请使用本机的网络地址

alias|别名
alias_hint|What clients ask for. Left empty: the target’s own name.|客户端请求的名称。留空则使用目标模型名
upstream|上游
target_model|目标模型
target_hint|What the upstream is asked for. {} known.|发送给上游的模型名。已知 {} 个
models_failed|Its models could not be listed: {}|无法获取模型列表：{}
parameters|参数
params_hint|Written in the upstream’s terms. A default holds where the client says nothing; an override always.|使用上游的参数名。默认：客户端未指定时生效；覆盖：始终生效
add_parameter|添加参数
mode_default|default|默认
mode_override|override|覆盖
type_number|number|数字
type_text|text|文本
type_bool|true / false|真 / 假
type_null|null|null
type_json|JSON|JSON
bad_value|The value of {} is not of the type “{2}”.|{} 的值不是“{2}”类型
extra|Members to spread at the top level (JSON)|展开到请求顶层的成员（JSON）
extra_hint|A JSON object. Its members are set one by one.|JSON 对象，其成员逐个设置
alias_taken|“{}” exists already: {2} → {3}|“{}” 已存在：{2} → {3}

example_text|An upstream is a server that speaks OpenAI’s or Anthropic’s protocol. Start from an example:|上游是使用 OpenAI 或 Anthropic 协议的服务器。从示例开始：
example_lan|A server in my network|局域网中的服务器
example_anthropic|Anthropic API|Anthropic API
example_account|Claude or Codex account|Claude 或 Codex 账号
still_loading|Still loading: {}|仍在加载：{}
fetch_models_again|重新获取模型
enabled_x|{} is in use|启用 {}
x_account|{} account|{} 账号
drag_to_move|拖动以移动
move_up|上移
move_down|下移
no_key|no key|无密钥
key_is|key|密钥
protocols_of|Protocols of {}|{} 的协议
fixed_on|Always on for accounts|账号类上游固定启用
models_of|Models of {}|{} 的模型
filter_n|Filter {} models|筛选 {} 个模型
none_listed|It lists no models. Make an alias by hand if you know a name.|它没有列出模型。如果知道名称，可以手动新建别名
tags_hint|Click a model to offer it to clients under its own name.|点击模型，即可以其原名提供给客户端
tag_add|Offer {} to clients|向客户端提供 {}
tag_remove|{} is offered; click to withdraw it|{} 已提供；点击撤回
unlisted|The upstream does not list this model (any more)|上游（已）不再列出此模型
upstream_goes|The upstream, its key and its aliases will be deleted.|该上游、其密钥及其别名将被删除
edit_upstream|编辑上游
name_hint|Your word for it; clients may call it as a model too.|自定义名称；客户端也可以将其作为模型调用
name_changes|Its aliases follow the new name.|其别名将随之更新
access|访问方式
by_key|API key or none|API 密钥或无
oauth_hint|You log in with your account after saving. CLIProxyAPI holds it; nothing else is needed here.|保存后用您的账号登录。账号由 CLIProxyAPI 保管，此处无需其他设置
base_url|Address|地址
base_url_hint|The base URL, with or without /v1.|基础 URL，可带或不带 /v1
will_call|Will call {}|将调用 {}
api_key|API key|API 密钥
api_key_hint|Leave empty if the server asks for none. \${NAME} takes it from the environment.|服务器不要求时留空。\${NAME} 表示取自环境变量
key_stays|Leave empty to keep it.|留空则保持不变
key_moved|The address changed: type the key again, it is never sent to a new address by itself.|地址已更改：请重新输入密钥，它不会自动发送到新地址
key_goes|The key will be removed.|密钥将被移除
remove_key|移除密钥
keep_key|保留密钥
test|测试
testing|Testing…|测试中…
test_found|It answers and lists {}.|连接成功，列出了 {}
test_pick|Click the models that clients may call; they are added when you save.|点击要提供给客户端的模型，保存时一并添加
protocols_it_speaks|支持的协议
speaks_true|answers|有应答
speaks_false|not there|不支持
speaks_null|cannot be told|无法判断
anthropic_base_url|Another address for Messages|Messages 专用地址
anthropic_base_url_hint|Only if it differs.|仅在不同时填写

no_sidecar|Accounts need CLIProxyAPI, the sidecar, and it is not available here.|账号登录需要 CLIProxyAPI（sidecar），此处不可用
sidecar_starting|CLIProxyAPI, which holds the accounts, is starting…|保管账号的 CLIProxyAPI 正在启动…
sidecar_down|CLIProxyAPI does not run: {}|CLIProxyAPI 未运行：{}
sidecar_again|(next try {})|（{}重试）
used_again|used again {}|{}恢复使用
login_to|Log in to {}|登录 {}
login_more|Log in another account|登录其他账号
not_logged_in|No account is logged in.|尚未登录账号
no_email|account|账号
quota_failed|Quota unknown: {}|配额未知：{}
used_percent|{} % used|已用 {}%
exhausted|used up|已用尽
resets|resets {}|{}重置
login_title|Log in: {}|登录：{}
login_step_1|Open the provider’s page and log in there.|打开服务商页面并登录
login_open|Open the login page|打开登录页面
login_step_2|At the end your browser goes to {}, a page that fails to load. That is expected. Copy its whole address from the address bar.|最后浏览器会跳转到 {}，该页面无法打开，这是正常的。请从地址栏复制其完整地址
login_auto|Your browser is on the gateway’s own machine, so the login finishes by itself. If it ends on a page at {} that fails to load, copy its whole address.|浏览器与网关在同一台机器上，登录会自动完成。如果最后停在 {} 且无法打开，请复制该页面的完整地址
callback_url|Paste the whole address of that page|粘贴该页面的完整地址
login_finish|Finish login|完成登录
login_wait|Waiting for the account…|正在等待账号…
logged_in_as|Logged in: {}|已登录：{}
login_until|This login stays open until {}.|此次登录在 {} 之前有效
login_lost|The gateway no longer knows this login. Start it again.|网关已不再记得此次登录，请重新开始
login_cancelled|The login was cancelled.|登录已取消
start_again|重新开始
log_out_x|Log out {}|退出账号 {}
logout_text|Its tokens are deleted from this gateway. To use the account again, log in again.|网关上保存的令牌将被删除。再次使用该账号需要重新登录

new_key|新建密钥
edit_key|编辑密钥
key_made|Key “{}”|密钥 “{}”
key_once|Copy it now: it is shown this once.|请立即复制：只显示这一次
i_have_it|已保存
no_keys_title|Anyone on the network may call|网络中的任何人都可以调用
no_keys_text|While there is no key, whoever reaches this address can use your models and spend your money. Make one key per device.|没有密钥时，任何能访问此地址的人都可以使用您的模型并产生费用。建议每台设备一个密钥
no_name|(no name)|（无名称）
all_models|all models|全部模型
keys_hint|A client sends its key as Authorization: Bearer or x-api-key.|客户端通过 Authorization: Bearer 或 x-api-key 发送密钥
key_refused|Clients with this key will be refused.|使用此密钥的客户端将被拒绝
last_key|It is the last one: then anyone on the network may call.|这是最后一个密钥：删除后网络中的任何人都可以调用
key_name_hint|Whose it is: a device or a program.|用途：设备或程序名
models_it_may_call|可调用的模型
models_it_may_call_hint|Names or patterns with *, separated by commas. Empty: all.|名称或含 * 的模式，用逗号分隔。留空表示全部
make_a_random_key|随机生成密钥
your_own_key|自定义密钥
make_key|创建密钥

live|live|实时
not_live|not live|未连接
only_failed|仅失败
filter_requests|筛选请求
missed|Too fast to be shown live: {}. The list is complete.|来得太快，未能实时显示：{}。列表是完整的
no_requests_yet|还没有请求
no_requests_text|They appear here as they come, with what was sent and what came back. Try one:|请求会实时显示在这里，包括发送和返回的内容。试一个：
status|状态
time|时间
protocol|协议
first_byte|首字节
total|总时长
tokens|Token
client_left|left|已断开
broken_off|broken off|中断
nowhere|nowhere|无
client_request|Client’s request|客户端请求
upstream_request|Sent upstream|发送到上游
upstream_response|Upstream’s answer|上游响应
client_response|What the client got|客户端收到
cached_tokens|缓存 token
reasoning_tokens|推理 token
input_tokens|输入 token
output_tokens|输出 token
bytes_in_out|Bytes in / out|字节 入 / 出
copy_as_curl|复制为 curl
curl_cut|Copied, but the stored body was cut: the command is incomplete|已复制，但保存的请求体被截断，命令不完整
headers|请求头
was_cut|Cut: the whole was {}.|已截断：完整大小为 {}
verbatim_body|The same, byte for byte.|与上游响应逐字节相同
nothing_there|Nothing.|无内容
lost_in_conversion|转换中的损失
lost_unsupported|has no counterpart at the upstream and was left out|上游不支持，已省略
lost_unknown|is not known and was left out|未知字段，已省略
lost_dropped|was left out|已省略
lost_clamped|was brought into the range that the upstream takes|已限制到上游允许的范围
lost_emulated|is imitated, not native|以模拟方式实现
lost_turned_off|was switched off|已关闭
lost_by_instruction|is asked for in words, not enforced|以文字指令代替，不强制
lost_repaired|was repaired|已修复
lost_narrowed|was narrowed|范围已缩小
lost_no_room|had no room and was left out|空间不足，已省略
lost_lowest_instead|was set to the lowest the upstream has|已改为上游的最低档
lost_taken_as_prefill|was taken as the beginning of the answer|被当作回答的开头
lost_cut|was cut off|被截断
lost_redacted|was redacted|已遮蔽

prompt|提示词
prompt_example|Say hello in three languages.|用三种语言打个招呼
prompt_tool|What is the weather in Paris? Use the tool.|巴黎天气怎么样？请使用工具
prompt_hint|Left empty, the example is sent. Ctrl+Enter sends.|留空则发送示例。按 Ctrl+Enter 发送
stream|流式
tool|Offer a tool|提供工具
send|发送
stop|停止
answer|回答
thinking|思考
waiting|Waiting…|等待中…
no_text|The answer holds no text.|回答没有文本
calls_tool|calls {}|调用 {}
result|Result of the tool|工具结果
send_result|发送结果
stopped|Stopped by you.|已由您停止
raw_events|原始事件
tokens_per_second|每秒 token
look_at_this_request|查看此请求
verbatim|The upstream speaks it: sent as it is.|上游支持：原样发送
converted|The upstream does not speak it: converted.|上游不支持：经转换发送

this_page|此页面
language|语言
theme|主题
light|浅色
dark|深色
gateway|网关
version|版本
running_for|运行时间
memory|内存
held_in_buffers|缓冲占用
open_requests|进行中的请求
open_streams|进行中的流
requests_so_far|累计请求
data_folder|数据目录
metrics|指标
configuration|配置
config_ok|The file is valid and in force.|文件有效并已生效
config_missing|There is no file yet; it is written on the first save.|还没有配置文件，首次保存时写入
config_readonly|It cannot be written: changes made here would be refused.|无法写入：在此处的修改会被拒绝
config_memory|In memory only: the demo writes no file.|仅在内存中：演示模式不写文件
conversion|Convert between protocols|协议转换
conversion_off|Off: a request in a protocol that the upstream lacks is refused.|关闭时，上游不支持的协议请求会被拒绝
admin_key|管理密钥
admin_key_configured|Set by you.|由您设置
admin_key_generated|Made by the gateway and printed when it starts. Set your own behind a reverse proxy.|由网关生成并在启动时输出。在反向代理之后请自行设置
admin_can|Whoever has it can see and change everything here.|持有者可以查看和更改此处的一切
new_admin_key|新管理密钥
new_admin_key_hint|ADMIN_KEY in the environment wins over it.|环境变量 ADMIN_KEY 优先
too_short|At least {} characters.|至少 {} 个字符
back_to_the_generated_key|Go back to the generated key|恢复为自动生成的密钥

login_with_key|Log in with the admin key|使用管理密钥登录
login_again|Please log in again|请重新登录
login_where|The gateway prints this address when it starts (docker logs shows it): open it, or paste it here. A key you set yourself works too.|网关启动时会输出以下地址（可用 docker logs 查看）：打开它，或粘贴到此处。您自行设置的密钥同样有效
log_in|登录
log_out|退出登录
wrong_key|That is not the key.|密钥不正确
`.split('\n').map(line => line.split('|'))) WORDS[key] = said;

let tongue = null;
/** 'en' or 'zh': chosen before, else the browser's. */
const language = () => {
  return tongue ??= /^(en|zh)$/.exec(stored('lang'))?.[0] ?? (/^zh/i.test(navigator.language) ? 'zh' : 'en');
};
const setLanguage = name => {
  tongue = name;
  store('lang', name);
  schedule();
};

/** The words of that key in the chosen language, with the values filled in. */
const t = (key, ...values) => {
  const said = WORDS[key] ?? [key];
  const text = language() === 'zh' ? said.at(-1) : said[1] ? said[0] : key[0].toUpperCase() + key.slice(1).replaceAll('_', ' ');
  const [one, many = one] = text.split('~');
  return (values[0] === 1 ? one : many).replace(/\{(\d?)\}/g, (_, at) => {
    const value = values[(at || 1) - 1];
    return typeof value === 'number' ? number(value) : value;
  });
};
