// The camera's image with scale bar, histogram, saturation and exposure.

import { command } from "./api.js";
import { at, brief, percent } from "./dom.js";

const BARS_UM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
// Words and histogram change no faster than they can be read.
const READ_MS = 200;
// After so long without a frame no rate is told.
const REST_MS = 1500;
let last = null, exposure = 0, drawn = 0, since = performance.now(), rate = 0, side = 0, tellSide = () => {}, newest = null, reading = null, resting = null;

// The longer side of the image as it is shown, in pixels of the screen.
export function shownSide() {
  const box = at("image").getBoundingClientRect();
  const [rows, columns] = last ? last[0] : [1, 1];
  const shown = Math.min(box.width / columns, box.height / rows) * Math.max(rows, columns);
  return Math.min(99999, Math.max(1, Math.round(shown * devicePixelRatio)));
}

// `resized` is called whenever another size is shown.
export function startLive(rig, resized) {
  tellSide = resized;
  new ResizeObserver(() => { if (last) scaleBar(...last); sized(); }).observe(at("image"));
  at("live-toggle").addEventListener("click", () =>
    command("PUT", "/api/camera", { live: at("live-toggle").getAttribute("aria-pressed") !== "true" }));
  at("snap").addEventListener("click", () => command("POST", "/api/snap"));
  at("exposure").min = rig.exposure_ms[0];
  at("exposure").max = rig.exposure_ms[1];
  at("exposure").addEventListener("change", async () => {
    const wanted = at("exposure").valueAsNumber;
    const taken = !Number.isNaN(wanted) && await command("PUT", "/api/camera", { exposure_ms: wanted });
    if (!taken) at("exposure").value = exposure;
  });
  at("contrast").addEventListener("change", () =>
    command("PUT", "/api/contrast", { window_adu: at("contrast").value === "auto" ? null : [0, rig.saturated_adu] }));
}

function sized() {
  if (shownSide() === side) return;
  side = shownSide();
  tellSide();
}

export function showMachine(machine) {
  at("live-toggle").setAttribute("aria-pressed", String(machine.live));
  exposure = machine.exposure_ms;
  if (document.activeElement !== at("exposure")) at("exposure").value = exposure;
  at("contrast").value = machine.window_adu ? "full" : "auto";
}

export function drawFrame(picture, facts, rig) {
  const canvas = at("image");
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  canvas.dataset.number = facts.number;
  count();
  if (!last || last[0].join() !== facts.shape_px.join()) {
    last = [facts.shape_px, rig.um_per_px];
    scaleBar(...last);
    sized();
  }
  newest = facts;
  if (reading === null) tell();
}

function tell() {
  const facts = newest;
  reading = setTimeout(() => { reading = null; if (newest !== facts) tell(); }, READ_MS);
  at("no-image").hidden = true;
  at("full-size").hidden = false;
  at("image").setAttribute("aria-label", `Live image ${facts.number} under ${facts.light}, mean ${facts.mean_adu} of ${facts.saturated_adu}`);
  at("frame-facts").textContent = `${facts.light} · ${brief(facts.exposure_ms)} ms · mean ${facts.mean_adu}` + (rate >= 1 ? ` · ${rate.toFixed(0)}/s` : "");
  histogram(facts);
  const over = facts.saturated;
  at("saturation").textContent = over ? percent(over, over < 0.001 ? 3 : 1) + " saturated" : "none saturated";
  at("saturation").className = over > 0.001 ? "over" : "";
}

function count() {
  drawn += 1;
  clearTimeout(resting);
  resting = setTimeout(() => { rate = 0; tell(); }, REST_MS);
  const now = performance.now();
  if (now - since > 1000) {
    rate = 1000 * drawn / (now - since);
    drawn = 0;
    since = now;
  }
}

function scaleBar([rows, columns], umPerPx) {
  const box = at("image").getBoundingClientRect();
  const shown = Math.min(box.width / columns, box.height / rows);
  const perUm = shown / umPerPx;
  const um = BARS_UM.filter(each => each * perUm < 160).pop() || BARS_UM[0];
  at("scale").hidden = false;
  at("scale").style.left = 14 + Math.max(0, (box.width - columns * shown) / 2) + "px";
  at("scale").firstChild.style.width = um * perUm + "px";
  at("scale").lastChild.textContent = um + " µm";
}

function histogram(facts) {
  const canvas = at("histogram"), context = canvas.getContext("2d");
  const counts = facts.histogram.map(each => Math.log1p(each)), most = Math.max(...counts, 1);
  const width = canvas.width / counts.length;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const [low, high] = facts.window_adu.map(each => canvas.width * each / facts.saturated_adu);
  context.fillStyle = "#24313b";
  context.fillRect(low, 0, high - low, canvas.height);
  counts.forEach((each, place) => {
    context.fillStyle = place === counts.length - 1 && each ? "#f0b35a" : "#9fd8cf";
    const height = canvas.height * each / most;
    context.fillRect(place * width, canvas.height - height, Math.max(width - 1, 1), height);
  });
}
