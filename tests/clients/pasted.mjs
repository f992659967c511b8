// Prints what the WebUI's "Connect a client" says to paste, as JSON: pasted.mjs CONNECT_JS URL MODEL KEY
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

const [file, url, model, key] = process.argv.slice(2);
const told = "\n;Object.entries(CLIENTS).map(([id, { text, after }]) => [id, text(model, key), after?.(key) ?? null])";
const page = { home: new URL(url), model, key, actions: {}, views: {}, stored() {}, store() {}, submits: {} };
console.log(JSON.stringify(runInNewContext(readFileSync(file, "utf8") + told, page)));
