// Starting, pausing and ending runs; counts with their interval as they settle; what each capture was for.

import { command } from "./api.js";
import { at, brief, make, percent, svg, whole } from "./dom.js";
import { showPlan } from "./stage.js";

const SAYS = { none: "No run yet.", running: "Running", paused: "Paused", ending: "Ending after this capture", done: "Done", stopped: "Stopped", failed: "Failed" };
let status = "none", recording = false;

export function startRuns() {
  at("search").addEventListener("change", ofSearch);
  ofSearch();
  at("run-form").addEventListener("submit", event => { event.preventDefault(); begin(); });
  at("pause").addEventListener("click", () => command("POST", status === "paused" ? "/api/run/resume" : "/api/run/pause"));
  at("end").addEventListener("click", () => command("POST", "/api/run/end"));
  at("go-on").addEventListener("click", async () => {
    await command("POST", `/api/runs/${at("going-on").dataset.name}/continue`);
    asking(false);
  });
  at("not-now").addEventListener("click", () => asking(false));
  earlier();
}

function ofSearch() {
  const how = at("search").value;
  document.querySelectorAll("[data-of]").forEach(each => {
    each.hidden = !each.dataset.of.split(",").includes(how);
    // what is wrong in a field that nobody sees must not hold the form
    each.querySelector("input, select").disabled = each.hidden;
  });
  for (const id of ["columns", "rows"]) at(id).placeholder = how === "acquire" ? "1" : "all";
}

const number = id => at(id).value === "" ? null : Number(at(id).value);

async function begin() {
  const how = at("search").value, wanted = { slide: at("slide").value };
  if (how === "acquire") {
    Object.assign(wanted, { columns: number("columns") || 1, rows: number("rows") || 1, light: at("record-light").value, start: at("record-start").value });
    return command("POST", "/api/acquisitions", wanted);
  }
  wanted.search = how;
  if (how === "scan") Object.assign(wanted, { columns: number("columns"), rows: number("rows"), light: at("scan-light").value, focus: at("focus-way").value });
  else wanted.captures = number("captures");
  return command("POST", "/api/runs", wanted);
}

// Runs that were ended or interrupted can be gone on with, once the operator has seen with what.
export async function earlier() {
  const runs = await command("GET", "/api/runs") || [];
  const open = runs.filter(run => !run.complete).slice(0, 3);
  at("earlier").replaceChildren(...open.map(run => {
    const button = make("button", { type: "button" }, `Go on with ${run.name} …`);
    button.addEventListener("click", () => ask(run.name));
    return button;
  }));
  return runs;
}

const KINDS = { scan: "scan", agent: "search by the model's policy", "bright field": "bright-field search", acquisition: "record fields" };

async function ask(name) {
  const told = await command("GET", `/api/runs/${name}/outline`);
  if (!told) return;
  const next = told.coming[0];
  const of = most => most === null ? "" : ` of ${whole(most)}`;
  const rows = [
    ["Slide", `${told.slide || "without a name"}, begun ${told.started.replace("T", " ").slice(0, 16)} UTC`],
    ["What", `${KINDS[told.kind]}, light: ${told.light}`],
    ["Recorded", `${whole(told.recorded)}${of(told.captures)} captures, ${whole(told.seen.length)}${of(told.fields)} fields`],
    ["Next", next ? `x ${next[0].toFixed(0)}, y ${next[1].toFixed(0)} µm; ${whole(told.coming.length)} fields to come` : "as it decides"],
  ];
  at("going-on-facts").replaceChildren(...rows.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
  at("going-on").dataset.name = name;
  asking(true);
  showPlan(told);
  at("go-on").focus();
}

function asking(on) {
  at("going-on").hidden = !on;
  at("settles").hidden = on || recording;
  if (!on) showPlan(null);
}

export const runOn = run => ["running", "paused", "ending"].includes(run?.status);

export function showRun(run) {
  const before = status;
  status = run.status;
  const on = runOn(run);
  at("start").disabled = on;
  at("pause").disabled = !on || status === "ending";
  at("pause").textContent = status === "paused" ? "Resume" : "Pause";
  at("end").disabled = !on || status === "ending";
  at("earlier").hidden = on;
  recording = run.kind === "acquisition";
  asking(!on && !at("going-on").hidden);
  at("run-title").textContent = run.name ? `${SAYS[status]}: ${run.name} (${run.kind})` : SAYS.none;
  at("progress").max = run.most || 1;
  at("progress").value = run.taken;
  counts(run);
  said(run);
  settling(run);
  strip(run);
  if (before !== status && !on) earlier();
}

function counts(run) {
  const rows = run.prevalence === null ? [] : [
    ["Infected", percent(run.prevalence), ` ${percent(run.low)} to ${percent(run.high)}`],
    ["Red cells", whole(run.cells), run.suspicious === null ? "" : ` ${whole(run.suspicious)} suspicious`],
    [run.unit === "fields" ? "Fields" : "Captures", `${whole(run.taken)} of ${whole(run.most)}`, run.unit === "fields" ? ` ${whole(run.captures)} captures` : ""],
  ];
  if (run.kind === "acquisition") rows.push(["Captures", `${whole(run.taken)} of ${whole(run.most)}`, ""], ["Fields", whole(run.fields.length), ""]);
  if (run.per_ul) rows.push(["Per µl", whole(run.per_ul[0]), ` ${whole(run.per_ul[1])} to ${whole(run.per_ul[2])}`]);
  at("counts").replaceChildren(...rows.map(([term, value, rest]) => make("div", {}, make("dt", {}, term), make("dd", {}, value, make("small", {}, rest)))));
}

function said(run) {
  const words = [];
  if (run.verdict) words.push(make("b", {}, run.verdict), ". ");
  if (run.said) words.push(run.said.message + (run.said.hint ? " " + run.said.hint : ""));
  at("said").replaceChildren(...words);
  const link = (file, label) => make("a", { href: `/api/runs/${run.name}/${file}`, target: "_blank", rel: "noopener" }, label);
  at("reports").replaceChildren(...(status === "done" && run.report ? [link("report.html", "Report"), ...(run.reviewable ? [" · ", link("report.pdf", "PDF")] : [])] : []));
}

function settling(run) {
  const plot = at("settling"), width = 320, height = 130, left = 44, bottom = 18, top = 8;
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  plot.replaceChildren();
  const points = run.settled;
  const last = points.length ? points[points.length - 1] : null;
  const most = Math.max(run.most, last ? last[0] : 1, 1), high = Math.max(...points.slice(Math.floor(points.length / 3)).map(each => each[3]), last ? last[3] : 0.1);
  const x = value => left + (width - left - 8) * value / most;
  const y = value => top + (height - top - bottom) * (1 - Math.min(value / high, 1));
  plot.append(svg("line", { class: "axis", x1: left, x2: width - 8, y1: height - bottom, y2: height - bottom }), svg("line", { class: "axis", x1: left, x2: left, y1: top, y2: height - bottom }));
  plot.append(svg("text", { x: left - 4, y: top + 8, "text-anchor": "end" }, percent(high, 1)), svg("text", { x: left - 4, y: height - bottom, "text-anchor": "end" }, "0"));
  if (run.most) plot.append(svg("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, `${whole(most)} ${run.unit}`));
  if (!points.length) return;
  const upper = points.map(each => `${x(each[0])},${y(each[3])}`), lower = points.map(each => `${x(each[0])},${y(each[2])}`).reverse();
  plot.append(svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") }));
  plot.append(svg("polyline", { class: "middle", points: points.map(each => `${x(each[0])},${y(each[1])}`).join(" ") }));
  plot.append(svg("line", { class: "reach", x1: x(last[0]), x2: x(last[0]), y1: y(last[2]), y2: y(last[3]) }));
  plot.append(svg("circle", { cx: x(last[0]), cy: y(last[1]), r: 3.5, fill: "#4fb3a5" }));
}

const cards = new Map();

function strip(run) {
  at("strip-empty").hidden = run.steps.length > 0;
  const most = Math.max(...run.steps.map(step => step.high || 0), 1e-6);
  const wanted = new Map(run.steps.map(step => [run.name + step.number, step]));
  for (const [id, card] of cards) if (!wanted.has(id)) { card.remove(); cards.delete(id); }
  for (const [id, step] of wanted) {
    const known = cards.get(id);
    const text = JSON.stringify(step) + most;
    if (known && known.dataset.text === text) continue;
    const card = stepCard(run, step, most);
    card.dataset.text = text;
    if (known) known.replaceWith(card); else at("strip").prepend(card);
    cards.set(id, card);
  }
}

function stepCard(run, step, most) {
  const card = make("li", {});
  card.append(make("img", { src: `/api/run/steps/${step.number}.jpg?${run.name}`, alt: `Capture ${step.number} under ${step.light}` }));
  card.append(make("b", {}, `${step.number}. ${step.light}`), make("span", { class: "quiet" }, `${step.xy_um[0].toFixed(0)}, ${step.xy_um[1].toFixed(0)} µm · ${brief(step.exposure_ms)} ms`));
  if (step.prevalence !== null) {
    const range = make("i", {});
    range.style.left = 100 * step.low / most + "%";
    range.style.width = 100 * (step.high - step.low) / most + "%";
    const belief = make("div", { class: "belief", role: "img", "aria-label": `${percent(step.prevalence)}, ${percent(step.low)} to ${percent(step.high)}` }, range);
    card.append(belief, make("span", {}, percent(step.prevalence)), make("br"), make("span", { class: "quiet" }, step.reason));
  }
  return card;
}
