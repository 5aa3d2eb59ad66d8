// Reads a JSON list of diagrams, writes for each what Mermaid makes of it: {error}, or {states, arrows}.
// A region is named by the states around it, [*] stays what it is.
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");
mermaid.initialize({ startOnLoad: false, suppressErrorRendering: true, logLevel: "fatal" });

let input = "";
for await (const chunk of process.stdin) input += chunk;

const shown = (state) => (state.start === undefined ? state.id : "[*]");

function walk(statements, place, model) {
  for (const statement of statements ?? []) {
    if (statement.stmt === "relation") {
      const label = (statement.description ?? "").replace(/^:/, "").trim();
      model.arrows.push([place, shown(statement.state1), shown(statement.state2), label]);
      for (const state of [statement.state1, statement.state2]) note(state, place, model);
    } else if (statement.stmt === "state" && statement.type === "divider") {
      walk(statement.doc, place, model);
    } else if (statement.stmt === "state") {
      note(statement, place, model);
      walk(statement.doc, `${place}/${statement.id}`, model);
    }
  }
}

function note(state, place, model) {
  if (state.start !== undefined) return;
  const known = model.states[state.id] ?? [place, "default"];
  const kind = state.doc ? "composite" : state.type;
  model.states[state.id] = [known[0], kind && kind !== "default" ? kind : known[1]];
}

async function read(text) {
  try {
    const diagram = await mermaid.mermaidAPI.getDiagramFromText(text);
    const model = { states: {}, arrows: [] };
    walk(diagram.db.getRootDocV2 ? diagram.db.getRootDocV2().doc : diagram.db.getRootDoc(), "", model);
    return model;
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

const answers = [];
for (const text of JSON.parse(input)) answers.push(await read(text));
process.stdout.write(JSON.stringify(answers));
