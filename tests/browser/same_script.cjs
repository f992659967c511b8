// Whether the served script has the syntax tree of its sources. Arguments: where acorn is, the served page, the sources in
// their order.
// What the page's assembly may change is evened out: margins and quotes inside `html` templates, and
// constants declared together.
const { readFileSync } = require('node:fs');
const { parse } = require(process.argv[2]);

const [page, ...sources] = process.argv.slice(3).map((path) => readFileSync(path, 'utf8'));
const served = page.slice(page.indexOf('<script type=module>') + 20, page.lastIndexOf('</script>'));

function plain(node) {
  if (Array.isArray(node)) return node.flatMap((entry) => entry?.type === 'VariableDeclaration' && entry.kind === 'const'
    ? entry.declarations.map((one) => ['const', plain(one)]) : [plain(entry)]);
  if (node === null || typeof node !== 'object' || node instanceof RegExp) return String(node);
  const { type, start, end, ...members } = node;
  if (type === 'TaggedTemplateExpression' && node.tag.name === 'html') for (const { value } of node.quasi.quasis) {
    value.raw = value.cooked = value.raw.replace(/\s*\n\s*/g, '').replace(/="([A-Za-z0-9-]+)"(?=[ >])/g, '=$1');
  }
  return [type, Object.entries(members).map(([name, value]) => [name, plain(value)])];
}
const tree = (script) => plain(parse(script, { ecmaVersion: 'latest', sourceType: 'module' }).body);
const statements = sources.flatMap((source) => tree(source)).map((one) => JSON.stringify(one));
const said = tree(served).map((one) => JSON.stringify(one));
for (let at = 0; at < Math.max(statements.length, said.length); at++) if (statements[at] !== said[at]) {
  console.log(`statement ${at} is another one:\n${statements[at]}\n${said[at]}`);
  process.exit(1);
}
console.log(`${statements.length} statements are the same`);
