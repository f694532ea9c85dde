"use strict";
// Shows the OpenAPI document. Everything is set as text, never as HTML.

const make = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
};
const marked = (name, kind, text) => Object.assign(make(name, text), { className: kind });

const resolve = (api, schema) => {
  if (!schema || !schema.$ref) return schema || {};
  return resolve(api, schema.$ref.split("/").slice(1).reduce((at, key) => at[key], api));
};

// An example of a shape: its own, or one put together from its parts.
const exampleOf = (api, schema, depth = 0) => {
  const shape = resolve(api, schema);
  if (depth > 8) return null;
  if (shape.example !== undefined) return shape.example;
  if (shape.examples) return shape.examples[0];
  if (shape.default !== undefined) return shape.default;
  if (shape.const !== undefined) return shape.const;
  if (shape.enum) return shape.enum[0];
  const part = (shape.anyOf || shape.allOf || shape.oneOf || [])[0];
  if (part) return exampleOf(api, part, depth + 1);
  if (shape.type === "array") return [exampleOf(api, shape.items, depth + 1)];
  if (shape.properties) {
    return Object.fromEntries(
      Object.entries(shape.properties).map(([name, each]) => [name, exampleOf(api, each, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, object: {} }[shape.type] ?? null;
};

const curl = (api, path, method, operation) => {
  const query = (operation.parameters || []).filter((each) => each.in === "query" && each.required);
  const asked = query.map((each) => `${each.name}=${exampleOf(api, each.schema)}`).join("&");
  const lines = [`curl "$INBOXSYNC${path}${asked ? "?" + asked : ""}"`];
  if (method !== "get") lines.push(`-X ${method.toUpperCase()}`);
  if (operation["x-scope"]) lines.push('-H "Authorization: Bearer $KEY"');
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) lines.push("--json '" + JSON.stringify(body.example ?? exampleOf(api, body.schema)) + "'");
  return lines.join(" \\\n  ");
};

const parameters = (operation) => {
  if (!operation.parameters) return null;
  const rows = operation.parameters.map((each) => make("tr", "",
    make("td", "", make("code", each.name)), make("td", each.in + (each.required ? ", required" : "")),
    make("td", each.description || (each.schema && each.schema.description) || "")));
  return make("table", "", ...rows);
};

const answers = (api, operation) => Object.entries(operation.responses).flatMap(([status, answer]) => {
  const [kind, content] = Object.entries(answer.content || {})[0] || [];
  const line = make("p", "", make("strong", status), ` ${answer.description || ""} `, make("code", kind || ""));
  if (!content || kind === "application/problem+json") return [line];
  const example = content.example ?? exampleOf(api, content.schema);
  const shown = typeof example === "string" ? example : JSON.stringify(example, null, 2);
  return [line, make("pre", shown)];
});

const shown = (api, path, method, operation) => {
  const details = make("details", "",
    make("summary", "",
      marked("span", "method", method.toUpperCase()), make("code", path), ` ${operation.summary || ""}`,
      operation["x-scope"] ? marked("span", "scope", operation["x-scope"]) : null),
    make("p", operation.description || ""), parameters(operation),
    make("h4", "Request"), make("pre", curl(api, path, method, operation)),
    make("h4", "Answers"), ...answers(api, operation));
  details.id = operation.operationId;
  return details;
};

const show = (api) => {
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  document.getElementById("about").textContent = api.info.description;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      groups.set(tag, [...(groups.get(tag) || []), shown(api, path, method, operation)]);
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren(...[...groups].flatMap(([tag, each]) => {
    const title = make("h2", tag);
    title.id = tag;
    return [title, ...each];
  }));
  document.getElementById("contents").replaceChildren(make("ul", "", ...[...groups.keys()].map((tag) => {
    const link = make("a", tag);
    link.href = `#${tag}`;
    return make("li", "", link);
  })));
};

fetch("/openapi.json").then((answer) => answer.json()).then(show).catch(() => {
  document.getElementById("operations").textContent = "The document cannot be read: see /openapi.json.";
});
