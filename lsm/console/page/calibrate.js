// The guided calibration: what to put on the stage, measure, look at the evidence, go on.

import { command } from "./api.js";
import { at, make, whole } from "./dom.js";

const NAMES = { camera: "Camera", stage: "Stage", focus: "Focus", light: "Light", leds: "LEDs", flat: "Empty field", twin: "Twin" };
const SAYS = { missing: "not yet", measuring: "measuring", measured: "measured", refused: "refused", stopped: "stopped" };
let now = null;
// The step that was asked for and that the state does not tell yet: what is measured next is that one.
let looking = null, asked = Promise.resolve();

export function startCalibration() {
  at("cal-open").addEventListener("click", () => command("POST", "/api/calibration"));
  at("cal-leave").addEventListener("click", () => command("DELETE", "/api/calibration"));
  at("cal-measure").addEventListener("click", () => asked.then(() => command("POST", "/api/calibration/measure", { step: looking || now.step })));
  at("cal-cancel").addEventListener("click", () => command("POST", "/api/calibration/cancel"));
  at("cal-next").addEventListener("click", () => look(next().name));
  at("cal-steps").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (button) look(button.dataset.step);
  });
}

function look(step) {
  looking = step;
  asked = command("PUT", "/api/calibration/step", { step }).then(told => { if (!told) looking = null; });
}

const place = () => now.steps.findIndex(each => each.name === now.step);
const next = () => now.steps[place() + 1];

export function showCalibration(told) {
  now = told;
  if (now.step === looking || now.status === "closed") looking = null;
  const closed = now.status === "closed", step = now.steps[closed ? -1 : place()];
  at("cal-closed").hidden = !closed;
  at("cal-wizard").hidden = closed;
  result();
  if (!step) return;
  const busy = now.status !== "open";
  steps(busy);
  at("cal-title").textContent = step.title;
  at("cal-put").textContent = step.put;
  at("cal-measure").textContent = step.values.length || step.said ? "Measure again" : "Measure";
  at("cal-measure").disabled = busy;
  at("cal-measure").classList.toggle("primary", step.status !== "measured");
  at("cal-cancel").hidden = !busy;
  at("cal-cancel").disabled = now.status === "ending";
  at("cal-next").hidden = busy || !next();
  at("cal-next").classList.toggle("primary", step.status === "measured");
  at("cal-leave").disabled = busy;
  at("cal-leave").classList.toggle("primary", now.steps.every(each => each.status === "measured") && !next());
  progress(busy);
  said(step);
  values(step);
  picture(step);
}

function steps(busy) {
  at("cal-steps").replaceChildren(...now.steps.map((each, index) => {
    const button = make("button", { type: "button", class: "steer", "data-step": each.name, disabled: busy },
      make("span", {}, `${index + 1}. ${NAMES[each.name]}`), make("small", {}, SAYS[each.status]));
    button.dataset.status = each.status;
    if (each.name === now.step) button.setAttribute("aria-current", "step");
    return make("li", {}, button);
  }));
}

function progress(busy) {
  at("cal-progress").hidden = !busy;
  if (now.of) {
    at("cal-progress").max = now.of;
    at("cal-progress").value = now.done;
  } else at("cal-progress").removeAttribute("value");
  at("cal-captures").textContent = busy ? `${now.status === "ending" ? "Ending before the next capture" : "Measuring"}, ${whole(now.captures)} captures` + (now.of ? `, ${whole(now.done)} of ${whole(now.of)} looks at LEDs` : "") : "";
}

function said(step) {
  const { message = "", hint = "" } = step.said || {};
  at("cal-said").hidden = !message;
  at("cal-said").textContent = hint ? `${message} ${hint[0].toUpperCase()}${hint.slice(1)}${hint.endsWith(".") ? "" : "."}` : message;
  at("cal-findings").textContent = step.findings.length ? `Not as the rig file says: ${step.findings.join("; ")}.` : "";
}

// Values that are tables of their own are told by what in them is set.
function plain(value) {
  if (!"{[".includes(value[0])) return value.replaceAll("+-", "±");
  const table = JSON.parse(value);
  if (!Array.isArray(table)) return Object.keys(table).filter(key => table[key] === true).join(", ").replaceAll("_", " ") || "none";
  return table.length ? table.map(row => Array.isArray(row) ? row.map(each => Number(each.toPrecision(4))).join(", ") : row).join("; ") : "none";
}

function values(step) {
  at("cal-values").replaceChildren(...step.values.map(([name, value]) =>
    make("div", {}, make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, plain(value)))));
}

function picture(step) {
  const image = at("cal-picture"), wanted = step.picture ? `/api/calibration/evidence/${step.name}.png?${now.file_digest}${step.picture}` : "";
  at("cal-no-picture").hidden = step.picture > 0;
  image.hidden = !step.picture;
  if (image.getAttribute("src") !== wanted) image.setAttribute("src", wanted);
  image.alt = `${step.title}: what was seen`;
}

function result() {
  const words = [], link = (file, label) => make("a", { href: "/api/calibration/" + file, target: "_blank", rel: "noopener" }, label);
  if (now.file_digest) {
    const all = now.status !== "closed" && now.steps.every(each => each.status === "measured");
    words.push(all ? "All steps are measured: " : "Kept in ", make("code", {}, now.file), ` (${now.file_digest}). Name it as `, make("code", {}, "calibration"), " in the rig file. ", link("report.html", "Report"), " · ", link("calibration.json", "File"));
  } else if (now.file) words.push("The result will be kept in ", make("code", {}, now.file), ".");
  at("cal-result").replaceChildren(...words);
}
